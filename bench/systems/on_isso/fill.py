"""Write discussions into Isso's database through its own classes; runs in Isso's environment.

python fill.py SETTINGS CONTENTS
"""

import json
import sys
from pathlib import Path

from isso import config, db


def main() -> None:
    """Write the threads and comments that the second file holds."""
    settings, file = sys.argv[1:]
    contents = json.loads(Path(file).read_text())
    database = db.SQLite3(*_opened(settings))
    for discussion in contents["discussions"]:
        address = f"/{discussion['slug']}/"
        database.threads.new(address, discussion["title"])
        ids = []
        for said in discussion["comments"]:
            name = contents["people"][said["author"]]
            comment = {
                "parent": None if said["parent"] is None else ids[said["parent"]],
                "mode": 1,
                "remote_addr": "127.0.0.0",
                "text": said["text"],
                "author": name,
                "email": f"reader{said['author']}@bench.example",
                "website": None,
                "notification": 0,
            }
            ids.append(database.comments.add(address, comment)["id"])


def _opened(settings: str) -> tuple[str, object]:
    read = config.load(config.default_file(), settings)
    return read.get("general", "dbpath"), read


if __name__ == "__main__":
    main()
