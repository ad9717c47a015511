"""The WSGI entry: `wsgi:app`."""

from sqlalchemy.orm import configure_mappers

from forum.app import create_app

app = create_app()
configure_mappers()  # the first query would do it, in each process by itself, where the server's processes share it now
