"""The `forum` command: the server begins without the imports of all the others."""

import sys


def main() -> None:
    """Run one command."""
    try:
        if sys.argv[1:2] == ["serve"]:
            from forum.server.command import serve_site  # noqa: PLC0415

            serve_site.main(sys.argv[2:], prog_name="forum serve")
        else:
            from forum.cli import main as run  # noqa: PLC0415

            run()
    except KeyboardInterrupt:
        sys.exit("Stopped.")


if __name__ == "__main__":
    main()
