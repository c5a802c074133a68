"""Waiting for a job of the mediation: a bar on a terminal, Ctrl-C cancels it."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ringfence.errors import RingfenceError
from ringfence.mediation.client import Client, refused_as

_FIRST_POLL_S, _LAST_POLL_S = 0.02, 0.5


def wait_for_job(client: Client, job: dict[str, Any], what: str) -> dict[str, Any]:
    """The job's result. RingfenceError as the mediation said; a job that was cancelled elsewhere is one too."""
    pause_s = _FIRST_POLL_S
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip
    try:
        with bar:
            task = bar.add_task(what, total=None)
            while job["state"] in ("queued", "running"):
                time.sleep(pause_s)
                pause_s = min(pause_s * 1.5, _LAST_POLL_S)
                job = client.get(f"jobs/{job['id']}")
                waits = f"{what} (waits for its turn)" if job["state"] == "queued" else job["phase"] or what
                bar.update(task, description=waits, total=job["total"] or None, completed=job["done"])
    except KeyboardInterrupt:
        client.delete(f"jobs/{job['id']}")
        raise
    if job["state"] == "done":
        result: dict[str, Any] = job["result"]
        return result
    if job["error"] is not None:
        raise refused_as(job["error"])
    raise RingfenceError(f"{what} was cancelled", code="cancelled")
