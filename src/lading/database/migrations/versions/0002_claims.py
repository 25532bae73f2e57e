"""Claims in one tree, so that staking and ending one writes a third of the pages."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Go from 0001 to this. Claims that stand go on standing: their processes may live."""
    op.drop_index("claims_by_digest", "claims")
    op.rename_table("claims", "old_claims")
    op.create_table(
        "claims",
        sa.Column("digest", _KEY, primary_key=True, nullable=False),
        sa.Column("token", _KEY, primary_key=True, nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
        # PostgreSQL's own name for it is taken, by the key of the old table.
        sa.PrimaryKeyConstraint("digest", "token", name="claims_by_digest"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO claims (digest, token, expires_ns)"
        " SELECT digest, token, expires_ns FROM old_claims"
    )
    op.drop_table("old_claims")
