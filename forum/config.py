"""Every setting: name, type, default, meaning; an unsafe production set-up does not start."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")
MIN_SECRET_LENGTH = 32


class UnsafeSettings(Exception):
    """A setting that stops the start; its message says what to do."""


@dataclass(frozen=True)
class Settings:
    """What the environment decides, once, at the start.

    A site whose address is on loopback is in development; any other is in production, and then the
    key, the mail server and https have to be given.
    """

    secret_key: str
    database_url: str
    replica_url: str | None
    redis_url: str | None
    smtp_url: str | None
    mail_from: str
    site_url: str
    site_name: str
    rate_limits: bool
    proxies: int
    page_cache_mb: int
    """Memory for kept pages in each web process, in MiB."""
    instance: Path

    @property
    def is_production(self) -> bool:
        """Tell whether the site's address can be reached from elsewhere."""
        return self.host not in LOOPBACK

    @property
    def is_https(self) -> bool:
        """Tell whether readers come over https."""
        return self.site_url.startswith("https://")

    @property
    def host(self) -> str:
        """Return the host of the site's address, without its port."""
        return urlsplit(self.site_url).hostname or ""

    @property
    def trusted_hosts(self) -> list[str]:
        """Return the hosts that requests may name: the site's own; on loopback all its names."""
        return [self.host] if self.is_production else ["localhost", "127.0.0.1", "[::1]"]


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read `FORUM_…` from the environment, then from a `.env` file, `…_FILE` naming a file with a secret.

    Raises: UnsafeSettings, shown to whoever starts the site.
    """
    given = dict(environ) if environ is not None else {**_dotenv(), **os.environ}
    instance = Path(given.get("FORUM_INSTANCE") or ROOT / "instance").absolute()
    site_url = (_value(given, "SITE_URL") or "http://127.0.0.1:8000").rstrip("/")
    host = _host(site_url)
    production = host not in LOOPBACK
    settings = Settings(
        secret_key=_value(given, "SECRET_KEY") or ("" if production else _own_secret(instance)),
        database_url=_value(given, "DATABASE_URL") or f"sqlite:///{instance / 'forum.sqlite3'}",
        replica_url=_value(given, "REPLICA_URL"),
        redis_url=_value(given, "REDIS_URL"),
        smtp_url=_value(given, "SMTP_URL"),
        mail_from=_value(given, "MAIL_FROM") or f"letters@{host if production else 'localhost'}",
        site_url=site_url,
        site_name=_value(given, "SITE_NAME") or "Slack Water",
        rate_limits=(_value(given, "RATE_LIMITS") or "on").lower() != "off",
        proxies=_number(given, "PROXIES"),
        page_cache_mb=_number(given, "PAGE_CACHE_MB", 8),
        instance=instance,
    )
    _refuse_wrong(settings)
    if production:
        _refuse_unsafe(settings)
    return settings


def _host(site_url: str) -> str:
    try:
        parts = urlsplit(site_url)
    except ValueError:
        parts = urlsplit("")
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise UnsafeSettings("FORUM_SITE_URL must be a whole address, such as https://essays.example.")
    return parts.hostname


def _refuse_wrong(settings: Settings) -> None:
    if settings.redis_url and not settings.redis_url.startswith(("redis://", "rediss://", "unix://")):
        raise UnsafeSettings("FORUM_REDIS_URL must begin with redis://, rediss:// or unix://.")
    if settings.replica_url and not (
        settings.replica_url.startswith("postgresql") and settings.database_url.startswith("postgresql")
    ):
        raise UnsafeSettings("FORUM_REPLICA_URL and FORUM_DATABASE_URL must both begin with postgresql://.")


def _refuse_unsafe(settings: Settings) -> None:
    if len(settings.secret_key) < MIN_SECRET_LENGTH:
        raise UnsafeSettings(
            f"FORUM_SECRET_KEY is missing or shorter than {MIN_SECRET_LENGTH} characters. Make one with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    if not settings.is_https:
        raise UnsafeSettings("FORUM_SITE_URL must begin with https:// where readers can reach the site.")
    if not settings.rate_limits:
        raise UnsafeSettings("FORUM_RATE_LIMITS=off is for load tests on loopback only. Remove it.")
    if settings.smtp_url is None:
        raise UnsafeSettings("FORUM_SMTP_URL is missing: without it nobody can sign in by mail.")


def _value(given: Mapping[str, str], name: str) -> str | None:
    file = given.get(f"FORUM_{name}_FILE")
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").strip() or None
        except (OSError, ValueError):
            raise UnsafeSettings(f"FORUM_{name}_FILE names {file}, which cannot be read.") from None
    return (given.get(f"FORUM_{name}") or "").strip() or None


def _number(given: Mapping[str, str], name: str, otherwise: int = 0) -> int:
    value = _value(given, name) or str(otherwise)
    if not value.isascii() or not value.isdigit():
        raise UnsafeSettings(f"FORUM_{name} must be a whole number, not {value!r}.")
    return int(value)


def _dotenv() -> dict[str, str]:
    return {name: value for name, value in dotenv_values(ROOT / ".env").items() if value is not None}


def _own_secret(instance: Path) -> str:
    """Return the development key, made once and kept beside the database so that sessions survive a restart."""
    file = instance / "secret_key"
    if not file.exists():
        instance.mkdir(parents=True, exist_ok=True)
        scratch = file.with_suffix(f".{os.getpid()}")
        scratch.touch(mode=0o600)
        scratch.write_text(secrets.token_urlsafe(48), encoding="utf-8")
        try:
            os.link(scratch, file)  # two processes that start together agree on the first one's key
        except FileExistsError:
            pass
        finally:
            scratch.unlink()
    return file.read_text(encoding="utf-8")
