"""A browser without a screen: one kept connection, cookies, and the hidden fields of forms."""

import html
import http.client
import json
import re
from urllib.parse import urlencode, urlsplit

TIMEOUT_SECONDS = 60


class Browser:
    """Asks one site for pages and sends it forms."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies: dict[str, str] = {}
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)

    def get(self, path: str) -> str:
        """Return a page. Raises: RuntimeError, when the site says no."""
        status, _, page = self._send("GET", path, None, {})
        if status != 200:
            raise RuntimeError(f"{self.url}{path}: {status}")
        return page.decode()

    def send_form(self, path: str, fields: dict[str, str]) -> tuple[int, str]:
        """Send a form; returns the status and where it leads."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._send("POST", path, urlencode(fields), headers)[:2]

    def send_json(self, path: str, value: object) -> int:
        """Send what a script would; returns the status."""
        return self._send("POST", path, json.dumps(value), {"Content-Type": "application/json"})[0]

    def _send(self, method: str, path: str, body: str | None, more: dict[str, str]) -> tuple[int, str, bytes]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookies, "Origin": self.url, "Referer": self.url + path, **more}
        try:
            self._connection.request(method, path, body and body.encode(), headers)
            answer = self._connection.getresponse()
            page = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request makes a new one
            raise
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer.status, answer.headers.get("Location", ""), page


def hidden_fields(page: str) -> dict[str, str]:
    """Return the hidden fields of a page's forms; of two with one name the last."""
    fields = {}
    for tag in re.findall(r"<input\b[^>]*>", page):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if attributes.get("type") == "hidden" and "name" in attributes:
            fields[attributes["name"]] = html.unescape(attributes.get("value", ""))
    return fields
