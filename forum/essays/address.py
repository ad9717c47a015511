"""The addresses of essays: chosen once, kept for good, so that no link ever breaks."""

from itertools import count

from slugify import slugify
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from forum.database import db
from forum.essays.essay import Essay, EssayAddress
from forum.essays.refusal import EssayRefused

MAX_AUTOMATIC = 80
"""Characters of an address made from a title; it is cut between words."""
MAX_TYPED = 120


def slug_from(title: str) -> str:
    """Return the address that a title asks for, whether it is free or not."""
    plain = title.replace("'", "").replace("’", "")
    return slugify(plain, max_length=MAX_AUTOMATIC, word_boundary=True) or "essay"


def free_slug(title: str) -> str:
    """Return a free address for a title: "on-tides", else "on-tides-2", "on-tides-3", …; one query."""
    wanted = slug_from(title)
    similar = EssayAddress.slug.startswith(wanted, autoescape=True)
    taken = set(db.session.scalars(select(EssayAddress.slug).where(similar)))
    numbered = (wanted if number == 1 else f"{wanted}-{number}" for number in count(1))
    return next(slug for slug in numbered if slug not in taken)


def checked_slug(typed: str, essay: Essay | None = None) -> str:
    """Return a typed address if the essay may have it: well formed, and free or its own from before.

    Raises: EssayRefused, for the author.
    """
    if len(typed) > MAX_TYPED:
        raise EssayRefused("slug", f"The address can have at most {MAX_TYPED} characters.")
    if not typed or typed != slugify(typed):
        hint = slugify(typed)[:MAX_TYPED].strip("-") or "on-tides"
        raise EssayRefused(
            "slug", f"An address is made of small letters, digits and single hyphens, such as {hint}."
        )
    address = db.session.get(EssayAddress, typed)
    if address is not None and (essay is None or address.essay_id != essay.id):
        raise EssayRefused("slug", f"Another essay has or had the address {typed}. Choose another one.")
    return typed


def take_slug(essay: Essay, slug: str) -> None:
    """Give an essay, new or old, its address; the addresses that it had go on leading to it.

    Raises: EssayRefused, for the author, when another essay took the address in the same moment.
    """
    try:
        with db.session.begin_nested():
            essay.slug = slug
            db.session.add(essay)
            db.session.flush()
            address = db.session.get(EssayAddress, slug)
            if address is None:
                db.session.add(EssayAddress(slug=slug, essay_id=essay.id))
    except IntegrityError:
        raise EssayRefused("slug", f"Another essay just took the address {slug}. Try again.") from None
