"""Numbers of threads and places in them, so that a page of a discussion is a range of an index."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

FILL = (
    """UPDATE comment SET thread_number = counted.number FROM (
        SELECT id, row_number() OVER (PARTITION BY essay_id ORDER BY id) AS number FROM comment
        WHERE root_id IS NULL
    ) AS counted WHERE counted.id = comment.id""",
    # Ids of eight digits each, so that a path sorts as the comments were written. What was moved may answer
    # something newer: it comes right after that.
    """WITH RECURSIVE tree(id, root_id, depth, latest, path) AS (
        SELECT id, id, 0, id, {hexadecimal} FROM comment WHERE parent_id IS NULL
        UNION ALL
        SELECT comment.id, tree.root_id, tree.depth + 1,
            CASE WHEN comment.id > tree.latest THEN comment.id ELSE tree.latest END,
            tree.path || '/' || {hexadecimal}
        FROM comment JOIN tree ON comment.parent_id = tree.id
    )
    UPDATE comment SET path = counted.path, place = counted.place FROM (
        SELECT id, path,
            row_number() OVER (PARTITION BY root_id ORDER BY latest, depth, id) - 1 AS place FROM tree
    ) AS counted WHERE counted.id = comment.id""",
)

HEXADECIMAL = {"sqlite": "printf('%08x', comment.id)", "postgresql": "lpad(to_hex(comment.id), 8, '0')"}


def upgrade() -> None:
    with op.batch_alter_table("comment") as comment:
        comment.add_column(sa.Column("thread_number", sa.Integer(), nullable=True))
        comment.add_column(sa.Column("place", sa.Integer(), server_default="0", nullable=False))
        comment.drop_index("ix_comment_root_id")
    for statement in FILL:
        op.execute(statement.format(hexadecimal=HEXADECIMAL[op.get_bind().dialect.name]))
    op.create_index("ix_comment_threads", "comment", ["essay_id", "thread_number"])
    op.create_index("ix_comment_places", "comment", ["root_id", "place"])
    _create_partial("ix_comment_most_thanked", ["essay_id", "likes", "id"], "root_id IS NULL")
    _create_partial("ix_comment_picked", ["essay_id", "id"], "featured_at IS NOT NULL")
    _create_partial("ix_comment_pinned", ["essay_id", "id"], "pinned_at IS NOT NULL")
    _create_partial(
        "ix_comment_unseen",
        ["author_id", "essay_id"],
        "(shown_number IS NULL OR newest_number <> shown_number OR presence = 'hidden')",
    )
    unread = sa.text("read_at IS NULL AND retracted_at IS NULL")
    op.create_index(
        "ix_notice_unread",
        "notice",
        ["user_id", "not_before"],
        sqlite_where=unread,
        postgresql_where=unread,
    )
    shown = sa.text("withdrawn_at IS NULL")
    op.drop_index("ix_essay_published_at", "essay")
    op.create_index(
        "ix_essay_listed", "essay", ["published_at", "id"], sqlite_where=shown, postgresql_where=shown
    )
    op.drop_index("ix_reaction_user_id", "reaction")
    op.create_index("ix_reaction_user_id_comment_id", "reaction", ["user_id", "comment_id"])


def downgrade() -> None:
    op.drop_index("ix_notice_unread", "notice")
    op.drop_index("ix_essay_listed", "essay")
    op.create_index("ix_essay_published_at", "essay", ["published_at"])
    op.drop_index("ix_reaction_user_id_comment_id", "reaction")
    op.create_index("ix_reaction_user_id", "reaction", ["user_id"])
    for name in ("unseen", "pinned", "picked", "most_thanked", "places", "threads"):
        op.drop_index(f"ix_comment_{name}", "comment")
    with op.batch_alter_table("comment") as comment:
        comment.drop_column("place")
        comment.drop_column("thread_number")
    op.create_index("ix_comment_root_id", "comment", ["root_id"])


def _create_partial(name: str, columns: list[str], where: str) -> None:
    only = sa.text(where)
    op.create_index(name, "comment", columns, sqlite_where=only, postgresql_where=only)
