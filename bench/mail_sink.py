"""A mail server that takes everything: before it says yes, it writes each mail on a line of a file.

The line has the moment in seconds, the receiver and the Message-ID.

python -m bench.mail_sink PORT FILE
"""

import asyncio
import os
import sys
import time
from email.parser import BytesHeaderParser

from aiosmtpd.smtp import SMTP, Envelope, Session


class Notes:
    """Keeps which mails came in for whom, and when."""

    def __init__(self, file: str) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Note a mail."""
        name = BytesHeaderParser().parsebytes(envelope.original_content or b"")["Message-ID"]
        lines = [f"{time.monotonic():.4f} {address} {name}\n" for address in envelope.rcpt_tos]
        os.write(self._file, "".join(lines).encode())
        return "250 OK"


async def main() -> None:
    """Serve until ended."""
    port, file = sys.argv[1:]
    notes = Notes(file)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(notes, loop=loop), "127.0.0.1", int(port))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
