"""The tables. One schema for both engines; `migrations` makes it and brings old ones up to it.

Moments are nanoseconds since 1970 UTC. Labels are one JSON object each, or empty where there are
none: they are set in one step with their row and go with it. Where there may be many rows, SQLite
keeps them in the tree of their key: one with a rowid has two, and each row is looked for in both.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Table,
    Text,
)

tables = MetaData()

Key = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is looked up and put in order: byte by byte on both engines, whatever the locale is."""

namespaces = Table(
    "namespaces",
    tables,
    Column("name", Key, primary_key=True),
    Column("created_ns", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),
)

blobs = Table(
    "blobs",
    tables,
    Column("namespace", Key, ForeignKey("namespaces.name"), primary_key=True),
    Column("digest", Key, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),
    Index("blobs_by_digest", "digest"),
    sqlite_with_rowid=False,
)

ingests = Table(
    "ingests",
    tables,
    Column("namespace", Key, ForeignKey("namespaces.name"), primary_key=True),
    Column("ref", Key, primary_key=True),
    Column("key", Key, nullable=False, unique=True),
    Column("ref_in_full", Text),
    Column("expected", Text),
    Column("committing", Text),
    sqlite_with_rowid=False,
)
"""`ref` is a ref, or what stands for one that an index cannot hold (`metadata.names.short`); then
`ref_in_full` has it in JSON. `key` is the ref in the content store, where refs of every namespace
meet. `committing` is the digest that a commit has sent there and not acknowledged yet."""

leases = Table(
    "leases",
    tables,
    Column("namespace", Key, ForeignKey("namespaces.name"), primary_key=True),
    Column("id", Key, primary_key=True),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger),
    Column("labels", Text, nullable=False),
)

resources = Table(
    "resources",
    tables,
    Column("namespace", Key, primary_key=True),
    Column("lease", Key, primary_key=True),
    Column("kind", Key, primary_key=True),
    Column("id", Key, primary_key=True),
    ForeignKeyConstraint(
        ["namespace", "lease"], ["leases.namespace", "leases.id"], ondelete="CASCADE"
    ),
    Index("resources_by_id", "namespace", "kind", "id"),
    sqlite_with_rowid=False,
)
"""What leases hold."""

images = Table(
    "images",
    tables,
    Column("namespace", Key, ForeignKey("namespaces.name"), primary_key=True),
    Column("name", Key, primary_key=True),
    Column("target", Text, nullable=False),
    Column("target_digest", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),
)
"""`target` is a descriptor in JSON."""

claims = Table(
    "claims",
    tables,
    Column("digest", Key, primary_key=True),
    Column("token", Key, primary_key=True),
    Column("expires_ns", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Digests whose bytes are on their way in, so that the collector leaves them alone. No index beside
their tree: each blob that comes in makes such a row and ends it."""

condemned = Table(
    "condemned",
    tables,
    Column("digest", Key, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("going", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Digests that no namespace has any more; `going` is 1 while the collector deletes their bytes."""

collecting = Table("collecting", tables, Column("id", Key, primary_key=True))
"""The collection that runs. What becomes reachable meanwhile is put down in `touched`."""

touched = Table(
    "touched",
    tables,
    Column("namespace", Key, primary_key=True),
    Column("digest", Key, primary_key=True),
    sqlite_with_rowid=False,
)
