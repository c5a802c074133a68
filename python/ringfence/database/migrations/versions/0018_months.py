"""Hours for views over months: 0018_months.sql."""

from pathlib import Path

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Execute the SQL as it stands, without looking for parameters in it."""
    script = Path(__file__).parent.parent / "0018_months.sql"
    connection = op.get_bind().connection.driver_connection
    assert connection is not None  # noqa: S101 — an open connection was handed over
    connection.execute(script.read_text(encoding="utf-8"))
