"""create_app(): the one file that knows every capability."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, Flask, current_app, g, session
from flask_login import current_user
from werkzeug.middleware.proxy_fix import ProxyFix

from forum.accounts.account_views import blueprint as account
from forum.accounts.session import init_sessions
from forum.accounts.views import blueprint as accounts
from forum.admin.mail_views import blueprint as admin_mail
from forum.admin.reasons_views import blueprint as admin_reasons
from forum.admin.site_views import blueprint as admin_site
from forum.admin.subscription_views import blueprint as admin_subscriptions
from forum.admin.views import blueprint as admin
from forum.assets import init_assets
from forum.config import ROOT, Settings, read_settings
from forum.database import init_database
from forum.discussion.views import blueprint as discussion
from forum.essays.editor import blueprint as essay_editor
from forum.essays.pictures import blueprint as essay_pictures
from forum.essays.release import blueprint as essay_release
from forum.limits import init_limits
from forum.migrations import init_migrations
from forum.moderation.batch_views import blueprint as batch
from forum.moderation.desk_views import blueprint as desk
from forum.moderation.learning_views import blueprint as learned
from forum.moderation.log_views import blueprint as moderation_log
from forum.moderation.mirror_views import blueprint as mirror
from forum.moderation.people_views import blueprint as people
from forum.moderation.public_log import blueprint as public_log
from forum.moderation.review_views import blueprint as review
from forum.moderation.rules_views import blueprint as rules
from forum.moderation.shaping_views import blueprint as shaping
from forum.moderation.views import blueprint as moderation
from forum.notifications.views import blueprint as letters
from forum.outbox.mime import ascii_domain
from forum.outbox.views import blueprint as outbox
from forum.packing import init_packing
from forum.pages.comment import blueprint as comment
from forum.pages.essay import blueprint as essay
from forum.pages.feeds import blueprint as feeds
from forum.pages.front import Front, where_it_may_wait
from forum.pages.health import blueprint as health
from forum.pages.home import blueprint as home
from forum.pages.inbox import blueprint as inbox
from forum.pages.profile import blueprint as profile
from forum.pages.shared import Pages
from forum.replica import init_replica
from forum.site.settings import site_settings
from forum.subscriptions.account_views import blueprint as subscription
from forum.subscriptions.unsubscribe import blueprint as unsubscribe
from forum.subscriptions.views import blueprint as subscribe
from forum.web import init_web, person

BLUEPRINTS: tuple[Blueprint, ...] = (
    outbox,
    accounts,
    account,
    subscription,
    subscribe,
    discussion,
    essay,
    comment,
    profile,
    inbox,
    letters,
    unsubscribe,
    health,
    desk,
    moderation,
    batch,
    moderation_log,
    learned,
    mirror,
    rules,
    public_log,
    review,
    shaping,
    people,
    admin,
    admin_site,
    admin_reasons,
    admin_mail,
    admin_subscriptions,
    home,
    feeds,
    essay_editor,
    essay_release,
    essay_pictures,
)


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application from the environment, or from given settings.

    Raises: UnsafeSettings, before anything is opened.
    """
    settings = settings or read_settings()
    settings.instance.mkdir(parents=True, exist_ok=True)
    app = Flask(
        "forum",
        root_path=str(ROOT / "forum"),
        instance_path=str(settings.instance),
        template_folder=str(ROOT / "templates"),
        static_folder=None,  # forum/assets.py serves static files, under addresses that change with them
    )
    _configure(app, settings)
    init_database(app)
    init_migrations(app)
    init_limits(app)
    init_replica(app)
    init_sessions(app)
    init_web(app)
    init_packing(app)
    app.wsgi_app = where_it_may_wait(app.wsgi_app)  # type: ignore[method-assign]
    init_assets(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.context_processor(_template_values)
    _keep_pages(app, settings)
    return app


def _keep_pages(app: Flask, settings: Settings) -> None:
    """Put what answers from kept pages before the rest, and what a proxy says before both."""
    pages = app.extensions["pages"] = Pages(app, settings.page_cache_mb * 1024 * 1024)
    app.wsgi_app = Front(app, app.wsgi_app, pages)  # type: ignore[method-assign, assignment]
    if settings.proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies, x_host=settings.proxies
        )


def _configure(app: Flask, settings: Settings) -> None:
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        REPLICA_URL=settings.replica_url,
        REDIS_URL=settings.redis_url,
        MIGRATIONS=ROOT / "migrations",
        STATIC=ROOT / "static",
        SITE_URL=settings.site_url,
        SITE_NAME=settings.site_name,
        SMTP_URL=settings.smtp_url,
        MAIL_FROM=settings.mail_from,
        MAIL_DOMAIN=ascii_domain(settings.mail_from.rpartition("@")[2]),
        RATE_LIMITS=settings.rate_limits,
        IS_PRODUCTION=settings.is_production,
        TRUSTED_HOSTS=settings.trusted_hosts,
        SESSION_COOKIE_NAME="__Host-forum" if settings.is_https else "forum",
        SESSION_COOKIE_SECURE=settings.is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(days=90),
    )
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True


def _template_values() -> dict[str, Any]:
    """Return what every template may use beside its own arguments."""
    somebody = person()
    return {
        "site": {
            "name": current_app.config["SITE_NAME"],
            "url": current_app.config["SITE_URL"],
            "tagline": site_settings().tagline,
            "public_log": site_settings().public_log,
        },
        "is_development": not current_app.config["IS_PRODUCTION"],
        "current_user": current_user,
        "theme": somebody.theme if somebody else None,
        "keys_off": somebody is not None and not somebody.uses_keys,
        "posted_draft": _posted_draft(),
    }


def _posted_draft() -> str | None:
    """Return which draft the browser may forget; noted for the request, whose first part is not the page itself."""
    if "posted_draft" in session:
        g.posted_draft = session.pop("posted_draft")
    draft: str | None = g.get("posted_draft")
    return draft
