"""A mail server that takes everything: it writes each receiver on a line of a file before it says yes.

python -m bench.mail_sink PORT FILE
"""

import asyncio
import os
import sys
import time

from aiosmtpd.smtp import SMTP, Envelope, Session


class Notes:
    """Keeps the receivers of mails, with the moment at which each came in, in seconds."""

    def __init__(self, file: str) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Note whom a mail is for."""
        lines = [f"{time.monotonic():.4f} {address}\n" for address in envelope.rcpt_tos]
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
