"""`forum serve`, in a file of its own: it begins without importing the site."""

import sys

import click

from forum.server.supervisor import serve


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--workers", default=2, show_default=True, help="How many web processes.")
@click.option("--no-worker", is_flag=True, help="Web processes only: `forum worker` runs elsewhere.")
def serve_site(host: str, port: int, workers: int, no_worker: bool) -> None:
    """Serve the site, with the mail worker beside it, until stopped."""
    sys.exit(serve(host, port, workers, with_mail=not no_worker))
