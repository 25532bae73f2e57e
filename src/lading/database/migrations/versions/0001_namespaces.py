"""Namespaces, their blobs and ingests, leases, images, and what the collector remembers."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(name: str, *, empty: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=empty)


def _key(name: str, *, primary: bool = True) -> sa.Column[str]:
    return sa.Column(name, _KEY, primary_key=primary, nullable=False)


def _number(name: str, *, empty: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=empty)


def _of_a_namespace() -> sa.Column[str]:
    return sa.Column("namespace", _KEY, sa.ForeignKey("namespaces.name"), primary_key=True)


def upgrade() -> None:
    """Go from nothing to this."""
    op.create_table("namespaces", _key("name"), _number("created_ns"), _text("labels"))
    op.create_table(
        "blobs",
        _of_a_namespace(),
        _key("digest"),
        _number("size"),
        _number("created_ns"),
        _number("updated_ns"),
        _text("labels"),
    )
    op.create_index("blobs_by_digest", "blobs", ["digest"])
    op.create_table(
        "ingests",
        _of_a_namespace(),
        _key("ref"),
        sa.Column("key", _KEY, nullable=False, unique=True),
        _text("ref_in_full", empty=True),
        _text("expected", empty=True),
        _text("committing", empty=True),
    )
    op.create_table(
        "leases",
        _of_a_namespace(),
        _key("id"),
        _number("created_ns"),
        _number("expires_ns", empty=True),
        _text("labels"),
    )
    op.create_table(
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
    op.create_table(
        "images",
        _of_a_namespace(),
        _key("name"),
        _text("target"),
        _text("target_digest"),
        _number("created_ns"),
        _number("updated_ns"),
        _text("labels"),
    )
    op.create_table("claims", _key("token"), _key("digest", primary=False), _number("expires_ns"))
    op.create_index("claims_by_digest", "claims", ["digest"])
    op.create_table("condemned", _key("digest"), _number("size"), _number("going"))
    op.create_table("collecting", _key("id"))
    op.create_table("touched", _key("namespace"), _key("digest"))
