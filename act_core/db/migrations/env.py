"""Alembic's environment: the connection comes from `db.bootstrap`."""

from alembic import context

from act_core.db import panda_models, policy_models
from act_core.db.models import Base

assert panda_models.PandaRow.metadata is policy_models.LedgerLine.metadata is Base.metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
