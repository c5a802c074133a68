"""What every bench ends with: a table for people, and one line `RESULT {json}` for programs.

A row is a row of the table in docs/performance.md: our figure, the peers' beside it, the goal in words, and whether it
is met. The exit status of a bench is 0 whatever its figures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]


def row(name: str, ours: float, peers: Mapping[str, float], goal: str, ok: bool) -> Row:
    """One row, figures rounded to what they are worth."""
    shown = {peer: rounded(value) for peer, value in peers.items()}
    return {"row": name, "ours": rounded(ours), "peers": shown, "goal": goal, "ok": ok}


def finish(bench: str, rows: list[Row], missing: list[str] | None = None, **more: object) -> None:
    """Print the table and the RESULT line; `more` goes into the line as it is."""
    print(f"\n{table(rows)}\n")
    if missing:
        print(f"Not installed, not measured: {', '.join(missing)}\n")
    found = {"missing": missing} if missing is not None else {}
    print("RESULT " + json.dumps({"bench": bench, "rows": rows, **found, **more}), flush=True)


def table(rows: list[Row]) -> str:
    """The rows as Markdown, as docs/performance.md has them."""
    names = list(dict.fromkeys(name for one in rows for name in one["peers"]))
    lines = [f"| {' | '.join(['', 'ringfence', *names, 'goal', 'met'])} |".replace("|  |", "| |", 1)]
    lines.append(f"|{'---|' * (len(names) + 4)}")
    for one in rows:
        peers = [f"{one['peers'][name]:,}" if name in one["peers"] else "" for name in names]
        cells = [one["row"], f"{one['ours']:,}", *peers, one["goal"], "yes" if one["ok"] else "no"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def rounded(value: float) -> float:
    """Three figures where it is small, whole where it is large."""
    if isinstance(value, int):
        return value
    if abs(value) < 1:
        return float(f"{value:.3g}")
    return round(value, 2) if abs(value) < 100 else round(value)


def install(packages: Mapping[str, str]) -> None:
    """Install the Debian packages of programs (program → package) that are not there, as root on a system with apt.

    What cannot be installed is left to the caller, which names it as not measured.
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    lacking = sorted({package for program, package in packages.items() if shutil.which(program, path=path) is None})
    if not lacking or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", *lacking]):
        subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
