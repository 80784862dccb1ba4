"""Run by Alembic: migrates the connection that `scada.registry.schema` hands over, in its transaction."""

from alembic import context

from scada.registry.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
