"""Rows in the tree of their key, so that SQLite looks once for one and not twice.

Only there: PostgreSQL keeps its rows as it does.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def _text(name: str, *, empty: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=empty)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _of_a_namespace() -> sa.Column[str]:
    return sa.Column("namespace", sa.Text, sa.ForeignKey("namespaces.name"), primary_key=True)


def _made_again(name: str, *columns: sa.schema.SchemaItem) -> None:
    names = ", ".join(f'"{each.name}"' for each in columns if isinstance(each, sa.Column))
    op.rename_table(name, f"old_{name}")
    op.create_table(name, *columns, sqlite_with_rowid=False)
    op.execute(f"INSERT INTO {name} ({names}) SELECT {names} FROM old_{name}")  # noqa: S608 - ours
    op.drop_table(f"old_{name}")


def upgrade() -> None:
    """Go from 0002 to this."""
    if op.get_bind().dialect.name != "sqlite":
        return
    op.drop_index("blobs_by_digest", "blobs")
    _made_again(
        "blobs",
        _of_a_namespace(),
        _key("digest"),
        _number("size"),
        _number("created_ns"),
        _number("updated_ns"),
        _text("labels"),
    )
    op.create_index("blobs_by_digest", "blobs", ["digest"])
    _made_again(
        "ingests",
        _of_a_namespace(),
        _key("ref"),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        _text("ref_in_full", empty=True),
        _text("expected", empty=True),
        _text("committing", empty=True),
    )
    op.drop_index("resources_by_id", "resources")
    _made_again(
        "resources",
        _key("namespace"),
        _key("lease"),
        _key("kind"),
        _key("id"),
        sa.ForeignKeyConstraint(
            ["namespace", "lease"], ["leases.namespace", "leases.id"], ondelete="CASCADE"
        ),
    )
    op.create_index("resources_by_id", "resources", ["namespace", "kind", "id"])
    _made_again("condemned", _key("digest"), _number("size"), _number("going"))
    _made_again("touched", _key("namespace"), _key("digest"))
