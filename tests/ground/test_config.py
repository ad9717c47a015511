"""Settings: what stops the start with a sentence, what is secret, what follows from the site's address."""

import stat
from pathlib import Path

import pytest

from forum.app import create_app
from forum.config import MIN_SECRET_LENGTH, Settings, UnsafeSettings, read_settings

SOUND = {
    "FORUM_SITE_URL": "https://essays.example",
    "FORUM_SECRET_KEY": "k" * MIN_SECRET_LENGTH,
    "FORUM_SMTP_URL": "smtp://mail.example",
}


def read(tmp_path: Path, **changed: str) -> Settings:
    """Read a sound production set-up with some settings changed; "" leaves one out."""
    return read_settings({"FORUM_INSTANCE": str(tmp_path / "instance")} | SOUND | changed)


def test_a_sound_production_set_up_starts(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.is_production
    assert settings.is_https
    assert settings.trusted_hosts == ["essays.example"]
    assert settings.rate_limits
    assert create_app(settings).config["SESSION_COOKIE_NAME"] == "__Host-forum"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"FORUM_SECRET_KEY": ""},
            "FORUM_SECRET_KEY is missing or shorter than 32 characters. Make one with: ",
        ),
        ({"FORUM_SECRET_KEY": "k" * 31}, "FORUM_SECRET_KEY is missing or shorter"),
        ({"FORUM_SECRET_KEY": " " * 40}, "FORUM_SECRET_KEY is missing or shorter"),
        ({"FORUM_SMTP_URL": ""}, "FORUM_SMTP_URL is missing: without it nobody can sign in by mail."),
        (
            {"FORUM_RATE_LIMITS": "off"},
            "FORUM_RATE_LIMITS=off is for load tests on loopback only. Remove it.",
        ),
        (
            {"FORUM_RATE_LIMITS": "OFF"},
            "FORUM_RATE_LIMITS=off is for load tests on loopback only. Remove it.",
        ),
        (
            {"FORUM_SITE_URL": "http://essays.example"},
            "FORUM_SITE_URL must begin with https:// where readers can reach the site.",
        ),
        ({"FORUM_SITE_URL": "essays.example"}, "FORUM_SITE_URL must be a whole address"),
        ({"FORUM_SITE_URL": "ftp://essays.example"}, "FORUM_SITE_URL must be a whole address"),
        ({"FORUM_SITE_URL": "https://"}, "FORUM_SITE_URL must be a whole address"),
        ({"FORUM_SITE_URL": "https://[nonsense"}, "FORUM_SITE_URL must be a whole address"),
        ({"FORUM_REDIS_URL": "localhost:6379"}, "FORUM_REDIS_URL must begin with redis://, rediss:// or"),
        (
            {"FORUM_REPLICA_URL": "postgresql://replica/forum"},
            "FORUM_REPLICA_URL and FORUM_DATABASE_URL must",
        ),
        ({"FORUM_PROXIES": "one"}, "FORUM_PROXIES must be a whole number, not 'one'."),
        ({"FORUM_PROXIES": "-1"}, "FORUM_PROXIES must be a whole number, not '-1'."),
        (
            {"FORUM_SECRET_KEY_FILE": "/no/such/file"},
            "FORUM_SECRET_KEY_FILE names /no/such/file, which cannot be read.",
        ),
    ],
)
def test_an_unsafe_setting_stops_the_start_with_what_to_do(
    tmp_path: Path, changed: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UnsafeSettings) as stopped:
        read(tmp_path, **changed)
    assert sentence in str(stopped.value)
    assert not (tmp_path / "instance").exists()


@pytest.mark.parametrize("address", ["http://localhost:8000", "http://127.0.0.1:5000", "http://[::1]:80"])
def test_on_loopback_nothing_has_to_be_given(tmp_path: Path, address: str) -> None:
    settings = read_settings({"FORUM_INSTANCE": str(tmp_path), "FORUM_SITE_URL": address})
    assert not settings.is_production
    assert settings.database_url.startswith("sqlite:///")
    assert len(settings.secret_key) >= MIN_SECRET_LENGTH


@pytest.mark.parametrize("host", ["127.0.0.1.evil.example", "localhost.example", "192.168.0.7"])
def test_an_address_that_only_looks_like_loopback_is_production(tmp_path: Path, host: str) -> None:
    with pytest.raises(UnsafeSettings):
        read_settings({"FORUM_INSTANCE": str(tmp_path), "FORUM_SITE_URL": f"http://{host}:8000"})


def test_the_development_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first, second = (read_settings({"FORUM_INSTANCE": str(tmp_path)}).secret_key for _ in range(2))
    assert first == second
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret_key"]


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("f" * 40 + "\n", encoding="utf-8")
    assert read(tmp_path, FORUM_SECRET_KEY="", FORUM_SECRET_KEY_FILE=str(file)).secret_key == "f" * 40


def test_a_trailing_slash_of_the_address_is_no_part_of_links(tmp_path: Path) -> None:
    assert read(tmp_path, FORUM_SITE_URL="https://essays.example/").site_url == "https://essays.example"
