"""`make campaign`: any seeds, one line a run; a failing one leaves its evidence and the next begins in a new world."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.campaign.campaign import Run, keep_evidence
from tests.campaign.world import World

from ringfence.log import configure_logging
from ringfence.settings import LogSettings


def main() -> int:
    """0 when every promise held in every run."""
    asked = argparse.ArgumentParser(prog="make campaign", description=__doc__)
    asked.add_argument("--seeds", type=int, default=20, help="how many runs")
    asked.add_argument("--first", type=int, default=1, help="the first seed")
    asked.add_argument("--evidence", type=Path, default=Path("build/campaign"), help="where failures are kept")
    options = asked.parse_args()
    configure_logging(LogSettings(level="error"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # leaving no process or mount behind
    began, calls, kinds, failed = time.monotonic(), 0, Counter[str](), list[int]()
    with ExitStack() as worlds:
        world: World | None = None
        for number, seed in enumerate(range(options.first, options.first + options.seeds), 1):
            world = world or worlds.enter_context(World())
            run = Run(world, seed)
            try:
                outcome = run.play()
            except Exception as error:
                failed.append(seed)
                print(
                    f"[{number}/{options.seeds}] FAILED {keep_evidence(world, run, error, options.evidence)}",
                    flush=True,
                )
                worlds.close()
                world = None
                continue
            calls += outcome.calls
            kinds.update(fault.kind for fault in outcome.faults)
            print(f"[{number}/{options.seeds}] {outcome}", flush=True)
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    minutes = (time.monotonic() - began) / 60
    print(
        f"{options.seeds - len(failed)} of {options.seeds} runs kept every promise in {minutes:.0f} minutes: "
        f"{calls} calls, {faults}" + (f"; failed: {failed}" if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
