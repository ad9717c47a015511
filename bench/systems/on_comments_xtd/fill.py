"""Write articles, people and comments through the models of Django and django-comments-xtd; runs in their environment.

python fill.py CONTENTS
"""

import json
import os
import sys
from pathlib import Path

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "article.settings"
django.setup()

from article.models import Article  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from django.contrib.sites.models import Site  # noqa: E402
from django.db import transaction  # noqa: E402
from django_comments_xtd.models import XtdComment  # noqa: E402


@transaction.atomic
def main() -> None:
    """Write what the file holds."""
    contents = json.loads(Path(sys.argv[1]).read_text())
    for name in contents["writers"]:
        User.objects.create_user(
            name, f"{name}@bench.example", contents["password"], first_name=name, last_name="Bench"
        )
    site = Site.objects.get_current()
    for discussion in contents["discussions"]:
        article = Article.objects.create(
            slug=discussion["slug"], title=discussion["title"], body=discussion["essay"]
        )
        _comment(article, site, contents["people"], discussion["comments"])


def _comment(article: Article, site: Site, people: list[str], comments: list[dict]) -> None:
    kind = ContentType.objects.get_for_model(Article)
    ids: list[int] = []
    for said in comments:
        comment = XtdComment(
            content_type=kind,
            object_pk=str(article.pk),
            site=site,
            user_name=people[said["author"]],
            user_email=f"reader{said['author']}@bench.example",
            comment=said["text"],
            parent_id=0 if said["parent"] is None else ids[said["parent"]],
        )
        comment.save()
        ids.append(comment.pk)


if __name__ == "__main__":
    main()
