"""Set up FlaskBB and write people, topics and posts through its own models; runs in FlaskBB's environment.

python fill.py SETTINGS CONTENTS TOPICS
"""

import json
import sys
from pathlib import Path

from flaskbb import create_app
from flaskbb.extensions import db
from flaskbb.forum.models import Category, Forum, Post, Topic
from flaskbb.user.models import User
from flaskbb.utils import populate


def main() -> None:
    """Write what the second file holds, and the ids of the topics into the third."""
    settings, file, topics = sys.argv[1:]
    contents = json.loads(Path(file).read_text())
    with create_app(config=settings).app_context():
        populate.create_latest_db()
        populate.create_default_groups()
        populate.create_default_settings()
        password = contents["password"]
        admin = populate.create_user("admin", password, "admin@bench.example", "admin")
        for name in contents["writers"]:
            populate.create_user(name, password, f"{name}@bench.example", "member")
        readers = [_reader(number, name) for number, name in enumerate(contents["people"])]
        category = Category(title="Essays", position=1).save()
        forum = Forum(title="Essays", description="What was read", category_id=category.id).save()
        ids = {one["slug"]: _topic(one, admin, forum, readers) for one in contents["discussions"]}
    Path(topics).write_text(json.dumps(ids))


def _reader(number: int, name: str) -> User:
    """Add somebody who wrote and never signs in again: hashing a password takes longer than all the rest."""
    group = populate.Group.get_member_group()
    reader = User(username=name, email=f"reader{number}@bench.example", activated=True)
    reader.primary_group_id = group.id
    reader._password = "none"
    return reader.save()


def _topic(discussion: dict, admin: User, forum: Forum, readers: list[User]) -> int:
    topic = Topic(title=discussion["title"])
    topic.save(user=admin, forum=forum, post=Post(content=discussion["essay"]))
    posts = [Post(said["text"], readers[said["author"]], topic.id) for said in discussion["comments"]]
    db.session.bulk_save_objects(posts)
    db.session.commit()
    last = Post.query.filter_by(topic_id=topic.id).order_by(Post.id.desc()).first()
    topic.last_post, topic.last_updated = last, last.date_created
    topic.recalculate()
    forum.recalculate(last_post=True)
    return topic.id


if __name__ == "__main__":
    main()
