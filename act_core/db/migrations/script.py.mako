"""${message}"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}
release = ""  # the version of the program that brings it, such as 0.3 (docs/decisions/0010)


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
