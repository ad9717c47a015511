"""What waits, what an act changed, batches, warnings, bans with an end, second looks, the learned filter."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

FILL = (
    "UPDATE comment SET spoken_at = created_at WHERE shown_number IS NOT NULL",
    """UPDATE comment SET accepted_before = counted.earlier FROM (
        SELECT id, sum(CASE WHEN visible THEN 1 ELSE 0 END) OVER (PARTITION BY author_id ORDER BY id)
            - CASE WHEN visible THEN 1 ELSE 0 END AS earlier FROM comment
    ) AS counted WHERE counted.id = comment.id""",
    """UPDATE report SET outcome = 'kept', decided_at = report.created_at FROM comment_revision
        WHERE comment_revision.comment_id = report.comment_id AND comment_revision.number = report.revision
        AND comment_revision.verdict = 'accepted' AND comment_revision.causes LIKE '% reports %'""",
    """UPDATE report SET outcome = 'removed', decided_at = report.created_at FROM comment_revision, comment
        WHERE comment_revision.comment_id = report.comment_id AND comment_revision.number = report.revision
        AND comment.id = report.comment_id
        AND (comment_revision.verdict = 'rejected' OR comment.presence <> 'live')""",
    """UPDATE comment SET open_reports = (SELECT count(*) FROM report
        WHERE report.comment_id = comment.id AND report.outcome = '')""",
    """UPDATE comment SET waits_for = held.causes, waits_since = coalesce((SELECT max(event.at) FROM event
            WHERE event.comment_id = comment.id AND event.act IN ('post', 'edit', 'fold', 'appeal')),
            comment.created_at)
        FROM comment_revision AS held
        WHERE held.comment_id = comment.id AND held.number = comment.newest_number AND held.verdict = 'held'
        AND comment.ban_id IS NULL AND (comment.presence = 'live'
            OR (comment.presence = 'hidden' AND held.causes LIKE '% appeal %'))""",
    """UPDATE comment SET waits_for = ' reports ', waits_since = (SELECT min(report.created_at) FROM report
            WHERE report.comment_id = comment.id AND report.outcome = '')
        WHERE open_reports > 0 AND waits_since IS NULL AND visible""",
    "UPDATE event SET is_undone = (1 = 1) WHERE id IN (SELECT undoes_id FROM event)",
)

OF_COMMENT = ("presence", "newest_number", "shown_number", "ban_id", "pinned_at", "featured_at", "edited_at")
OF_REVISION = ("verdict", "causes", "reason", "note")
OF_ESSAY = ("discussion_closed_at", "closing_note")


def _convert_events(connection: sa.Connection) -> None:
    """Write what each event changed: the difference between what it had found and what the next one found."""
    event = sa.table("event", *(sa.column(name) for name in ("id", "comment_id", "essay_id", "revision")))
    event.append_column(sa.column("before", sa.JSON))  # type: ignore[arg-type]
    event.append_column(sa.column("changes", sa.JSON))  # type: ignore[arg-type]
    rows = connection.execute(
        sa.select(event).order_by(event.c.comment_id, event.c.essay_id, event.c.id)
    ).all()
    for row, following in zip(rows, [*rows, None][1:], strict=True):
        if not row.before:
            continue
        same = following is not None and (following.comment_id, following.essay_id) == (
            row.comment_id,
            row.essay_id,
        )
        after = (following.before if same and following is not None else None) or _state(connection, row)
        changes = _differences(connection, row, after)
        connection.execute(event.update().where(event.c.id == row.id).values(changes=changes))


def _differences(connection: sa.Connection, row: sa.Row, after: dict) -> list:
    found = []
    if row.comment_id is None:
        kinds = [("essay", row.essay_id, OF_ESSAY)]
    else:
        revision_id = connection.scalar(
            sa.text("SELECT id FROM comment_revision WHERE comment_id = :comment AND number = :number"),
            {"comment": row.comment_id, "number": row.revision},
        )
        kinds = [("comment", row.comment_id, OF_COMMENT), ("comment_revision", revision_id, OF_REVISION)]
    for kind, row_id, names in kinds:
        for name in names:
            if name in row.before and name in after and row.before[name] != after[name]:
                found.append([kind, row_id, name, row.before[name], after[name]])
    return found


def _state(connection: sa.Connection, row: sa.Row) -> dict:
    """Return how the comment or the discussion stands now, as the old events described it."""
    if row.comment_id is None:
        essay = connection.execute(
            sa.text("SELECT discussion_closed_at, closing_note FROM essay WHERE id = :id").columns(
                discussion_closed_at=sa.DateTime(timezone=True)
            ),
            {"id": row.essay_id},
        ).one()
        return {"discussion_closed_at": _iso(essay[0]), "closing_note": essay[1]}
    moments = {name: sa.DateTime(timezone=True) for name in OF_COMMENT if name.endswith("_at")}
    comment = connection.execute(
        sa.text(f"SELECT {', '.join(OF_COMMENT)} FROM comment WHERE id = :id").columns(**moments),
        {"id": row.comment_id},
    ).one()
    revision = connection.execute(
        sa.text(
            f"SELECT {', '.join(OF_REVISION)} FROM comment_revision"
            " WHERE comment_id = :comment AND number = :number"
        ),
        {"comment": row.comment_id, "number": row.revision},
    ).one()
    state = {name: _iso(value) for name, value in comment._mapping.items()} | dict(revision._mapping)
    return state | {"causes": sorted(state["causes"].split())}


def _iso(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


def upgrade() -> None:
    op.create_table(
        "learned_filter",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("trained_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decisions", sa.Integer(), nullable=False),
        sa.Column("last_event_id", sa.Integer(), nullable=False),
        sa.Column("measured", sa.JSON(), nullable=False),
        sa.Column("model", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learned_filter")),
    )
    op.create_table(
        "batch",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("actor_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("verb", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["actor_id"], ["user.id"], name=op.f("fk_batch_actor_id_user")),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_batch_event_id_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
        sa.UniqueConstraint("event_id", name=op.f("uq_batch_event_id")),
    )
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_batch_finished_at"), ["finished_at"], unique=False)

    op.create_table(
        "second_look",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("actor_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["user.id"], name=op.f("fk_second_look_actor_id_user")),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_second_look_event_id_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_second_look")),
        sa.UniqueConstraint("actor_id", "event_id", name=op.f("uq_second_look_actor_id_event_id")),
    )
    op.create_table(
        "batch_item",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("comment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("is_done", sa.Boolean(), nullable=False),
        sa.Column("why_not", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_batch_item_batch_id_batch")),
        sa.ForeignKeyConstraint(
            ["comment_id"], ["comment.id"], name=op.f("fk_batch_item_comment_id_comment")
        ),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_batch_item_event_id_event")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_item")),
    )
    with op.batch_alter_table("batch_item", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_batch_item_batch_id"), ["batch_id"], unique=False)

    with op.batch_alter_table("ban", schema=None) as batch_op:
        batch_op.add_column(sa.Column("until", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("comment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("accepted_before", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("spoken_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("closing_note", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("merged_into_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.add_column(
            sa.Column(
                "moved_from_essay_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
            )
        )
        batch_op.add_column(
            sa.Column("moved_from_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.add_column(sa.Column("moved_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("open_reports", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("waits_since", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("waits_for", sa.String(200), server_default="", nullable=False))
        batch_op.drop_index(batch_op.f("ix_comment_essay_id"))
        batch_op.create_index("ix_comment_essay_id_spoken_at", ["essay_id", "spoken_at"], unique=False)
        batch_op.drop_index(batch_op.f("ix_comment_author_id"))
        batch_op.create_index("ix_comment_author_id_id", ["author_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_comment_merged_into_id"), ["merged_into_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_comment_moved_from_essay_id"), ["moved_from_essay_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_comment_moved_from_id"), ["moved_from_id"], unique=False)
        batch_op.create_index(
            "ix_comment_waiting",
            ["essay_id", "waits_since", "waits_for", "id"],
            unique=False,
            sqlite_where=sa.text("waits_since IS NOT NULL"),
            postgresql_where=sa.text("waits_since IS NOT NULL"),
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_comment_moved_from_essay_id_essay"), "essay", ["moved_from_essay_id"], ["id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_comment_moved_from_id_comment"), "comment", ["moved_from_id"], ["id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_comment_merged_into_id_comment"), "comment", ["merged_into_id"], ["id"]
        )

    with op.batch_alter_table("essay", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kept_open_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.add_column(
            sa.Column("part_of_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.add_column(sa.Column("parts", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("waited_seconds", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("is_undone", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("changes", sa.JSON(), server_default="[]", nullable=False))
        batch_op.drop_constraint(batch_op.f("uq_event_undoes_id"), type_="unique")
        batch_op.create_index(batch_op.f("ix_event_undoes_id"), ["undoes_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_event_part_of_id"), ["part_of_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_event_person_id"), ["person_id"], unique=False)
        batch_op.create_index(
            "ix_event_waited",
            ["essay_id", "id"],
            unique=False,
            sqlite_where=sa.text("waited_seconds IS NOT NULL"),
            postgresql_where=sa.text("waited_seconds IS NOT NULL"),
        )
        batch_op.create_foreign_key(batch_op.f("fk_event_person_id_user"), "user", ["person_id"], ["id"])
        batch_op.create_foreign_key(batch_op.f("fk_event_part_of_id_event"), "event", ["part_of_id"], ["id"])

    with op.batch_alter_table("reaction", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("merged_from_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_reaction_merged_from_id_comment"), "comment", ["merged_from_id"], ["id"]
        )

    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.add_column(sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("outcome", sa.String(length=20), server_default="", nullable=False))

    with op.batch_alter_table("user", schema=None) as batch_op:
        batch_op.add_column(sa.Column("banned_until", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("warning", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("warned_at", sa.DateTime(timezone=True), nullable=True))

    connection = op.get_bind()
    for statement in FILL:
        connection.execute(sa.text(statement))
    _convert_events(connection)
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_column("before")


def downgrade() -> None:
    op.execute(
        "UPDATE event SET undoes_id = NULL WHERE undoes_id IS NOT NULL"
        " AND id NOT IN (SELECT max(id) FROM event WHERE undoes_id IS NOT NULL GROUP BY undoes_id)"
    )
    # Without its end a ban that has ended would be in force again, for ever.
    ended = sa.table("user", sa.column("banned_at"), sa.column("banned_until", sa.DateTime(timezone=True)))
    op.execute(ended.update().where(ended.c.banned_until <= datetime.now(UTC)).values(banned_at=None))
    with op.batch_alter_table("user", schema=None) as batch_op:
        batch_op.drop_column("warned_at")
        batch_op.drop_column("warning")
        batch_op.drop_column("banned_until")

    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.drop_column("outcome")
        batch_op.drop_column("decided_at")

    with op.batch_alter_table("reaction", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_reaction_merged_from_id_comment"), type_="foreignkey")
        batch_op.drop_column("merged_from_id")

    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.add_column(sa.Column("before", sa.JSON(), server_default="{}", nullable=False))
        batch_op.drop_constraint(batch_op.f("fk_event_part_of_id_event"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_event_person_id_user"), type_="foreignkey")
        batch_op.drop_index(
            "ix_event_waited",
            sqlite_where=sa.text("waited_seconds IS NOT NULL"),
            postgresql_where=sa.text("waited_seconds IS NOT NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_event_person_id"))
        batch_op.drop_index(batch_op.f("ix_event_part_of_id"))
        batch_op.drop_index(batch_op.f("ix_event_undoes_id"))
        batch_op.create_unique_constraint(batch_op.f("uq_event_undoes_id"), ["undoes_id"])
        batch_op.drop_column("changes")
        batch_op.drop_column("is_undone")
        batch_op.drop_column("waited_seconds")
        batch_op.drop_column("parts")
        batch_op.drop_column("part_of_id")
        batch_op.drop_column("person_id")

    with op.batch_alter_table("essay", schema=None) as batch_op:
        batch_op.drop_column("kept_open_at")

    with op.batch_alter_table("comment", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_comment_merged_into_id_comment"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_comment_moved_from_id_comment"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_comment_moved_from_essay_id_essay"), type_="foreignkey")
        batch_op.drop_index(
            "ix_comment_waiting",
            sqlite_where=sa.text("waits_since IS NOT NULL"),
            postgresql_where=sa.text("waits_since IS NOT NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_comment_moved_from_id"))
        batch_op.drop_index(batch_op.f("ix_comment_moved_from_essay_id"))
        batch_op.drop_index(batch_op.f("ix_comment_merged_into_id"))
        batch_op.drop_index("ix_comment_essay_id_spoken_at")
        batch_op.drop_index("ix_comment_author_id_id")
        batch_op.create_index(batch_op.f("ix_comment_author_id"), ["author_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_comment_essay_id"), ["essay_id"], unique=False)
        batch_op.drop_column("waits_for")
        batch_op.drop_column("waits_since")
        batch_op.drop_column("open_reports")
        batch_op.drop_column("moved_at")
        batch_op.drop_column("moved_from_id")
        batch_op.drop_column("moved_from_essay_id")
        batch_op.drop_column("merged_into_id")
        batch_op.drop_column("closing_note")
        batch_op.drop_column("closed_at")
        batch_op.drop_column("spoken_at")
        batch_op.drop_column("accepted_before")

    with op.batch_alter_table("ban", schema=None) as batch_op:
        batch_op.drop_column("until")

    with op.batch_alter_table("batch_item", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_batch_item_batch_id"))

    op.drop_table("batch_item")
    op.drop_table("second_look")
    with op.batch_alter_table("batch", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_batch_finished_at"))

    op.drop_table("batch")
    op.drop_table("learned_filter")
