"""Whether the web node in this container can serve readers; the exit status says it."""

import http.client
import os
import sys
from urllib.parse import urlsplit

# The site answers to its own name only.
host = urlsplit(os.environ["FORUM_SITE_URL"]).netloc
node = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=3)
try:
    node.request("GET", "/readyz/web", headers={"Host": host})
    answer = node.getresponse()
except OSError as error:
    sys.exit(f"The node does not answer: {error}")
if answer.status != 200:
    sys.exit(answer.read().decode())
