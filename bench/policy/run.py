"""`make bench-policy`: what changing a policy costs. Each row is a module here with `measure` and `rows`.

Rows run one after the other, each on a node or database of its own. What each means stands in docs/performance.md. The
last line is `RESULT {json}`; the exit status is 0 whatever the figures.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench.report import Row, finish  # noqa: E402

# In the order in which they are told; a name on the command line runs that row alone.
ROWS = ("simulate", "import_list")


def main(wanted: list[str]) -> int:
    """Run the rows, end with the RESULT line."""
    unknown = set(wanted) - set(ROWS)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; the rows are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in wanted or ROWS:
        module = import_module(f"bench.policy.{name}")
        rows += module.rows(module.measure())
    finish("policy", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
