"""What Alembic runs for each migration: on the connection that it is given, in one transaction."""

from alembic import context

from lading.database.schema import tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=tables, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
