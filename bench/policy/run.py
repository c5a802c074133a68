"""`make bench-policy`: what changing a policy costs. Each row is a module here with `measure`, `row` and `is_good`.

Rows run one after the other, each on a node or database of its own; the exit status says whether every goal is reached.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# In the order in which they are told; a name on the command line runs that row alone.
ROWS = ("import_list",)


def main(wanted: list[str]) -> int:
    """Run the rows; 1 when a goal is missed."""
    unknown = set(wanted) - set(ROWS)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; the rows are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    missed = 0
    for name in wanted or ROWS:
        module = import_module(f"bench.policy.{name}")
        result = module.measure()
        is_good = module.is_good(result)
        missed += not is_good
        print(f"{'ok    ' if is_good else 'MISSED'} {module.row(result)}")
        print("RESULT", json.dumps({"bench": f"policy.{name}", "is_good": is_good} | result), flush=True)
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
