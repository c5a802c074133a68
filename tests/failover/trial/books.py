"""On a node: what its database holds of each device, in one line of JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg

from ringfence.database.cluster import embedded_url

HELD = """
SELECT d.name, (SELECT sum(s.last_sequence)::bigint FROM device_stream s WHERE s.device_id = d.device_id),
       (SELECT sum(s.lost)::bigint FROM device_stream s WHERE s.device_id = d.device_id),
       count(*), count(DISTINCT (e.stream_id, e.sequence))
FROM device d JOIN {table} e USING (device_id) GROUP BY d.device_id ORDER BY d.name
"""


def main(data: Path) -> None:
    """Print the rows."""
    with psycopg.connect(embedded_url(data), options="-c search_path=ringfence") as connection:
        held = {
            name: {"last": last, "lost": lost, "rows": rows, "distinct": distinct}
            for table in ("enum_event", "sip_event")
            for name, last, lost, rows, distinct in connection.execute(HELD.format(table=table).encode()).fetchall()
        }
    print(json.dumps(held))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
