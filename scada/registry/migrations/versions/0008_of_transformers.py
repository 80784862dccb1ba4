"""Of each transformer: the form factor that was fitted to its consumers, and its voltage at no load.

Revision 0008. Stands on its own: it names no class of ours, so that it stays what it was when the models move on.
"""

from alembic import op
from sqlalchemy import Column, Double, Integer, String

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FIGURES = ("form_alone", "form_together", "form_alike", "form_doubt")


def upgrade() -> None:
    for name in FIGURES:
        op.add_column("transformers", Column(name, Double(), nullable=True))
    op.add_column("transformers", Column("form_minutes", Integer(), nullable=False, server_default="60"))
    op.add_column("transformers", Column("form_source", String(200), nullable=False, server_default=""))
    op.add_column("transformers", Column("no_load_v", Double(), nullable=False, server_default="400"))


def downgrade() -> None:
    for name in ("no_load_v", "form_source", "form_minutes", *reversed(FIGURES)):
        op.drop_column("transformers", name)
