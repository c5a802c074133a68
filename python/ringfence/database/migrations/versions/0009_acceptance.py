"""Plan and records of the functional system test: 0009_acceptance.sql."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Execute the SQL as it stands, without looking for parameters in it."""
    script = Path(__file__).parent.parent / "0009_acceptance.sql"
    connection = op.get_bind().connection.driver_connection
    assert connection is not None  # noqa: S101 — an open connection was handed over
    connection.execute(script.read_text(encoding="utf-8"))
