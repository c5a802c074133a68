"""Jobs: progress, result, refusal, cancelling, bounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ringfence.errors import ConflictError, InvalidInputError, NotFoundError
from ringfence.mediation import jobs as module
from ringfence.mediation.jobs import KEPT_S, MAX_WAITING, Cancelled, Jobs, Progress

PATIENCE_S = 30


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs(at_once=1)
    yield made
    made.close()


def test_a_job_tells_how_far_it_is_and_then_its_result(jobs: Jobs) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        progress.at(1, 4, "reading")
        reached.set()
        assert go_on.wait(PATIENCE_S)
        return {"calls": 4}

    job = jobs.start("simulate", "ann", work)
    assert reached.wait(PATIENCE_S)
    shown = jobs.get(job.id).as_json()
    assert (shown["state"], shown["share"], shown["phase"], shown["result"]) == ("running", 0.25, "reading", None)
    go_on.set()
    assert job.ended.wait(PATIENCE_S)
    shown = jobs.get(job.id).as_json()
    assert (shown["state"], shown["share"], shown["result"], shown["error"]) == ("done", 1.0, {"calls": 4}, None)


def test_a_refusal_is_kept_as_it_was_said(jobs: Jobs) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        raise InvalidInputError("since: is in the future", detail={"line": 3})

    job = jobs.start("simulate", "ann", work)
    assert job.ended.wait(PATIENCE_S)
    shown = job.as_json()
    assert shown["state"] == "failed"
    assert shown["error"] == {"code": "invalid", "message": "since: is in the future", "detail": {"line": 3}}


def test_a_defect_is_not_told_to_the_one_who_asks(jobs: Jobs) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        raise ValueError("secret")

    job = jobs.start("simulate", "ann", work)
    assert job.ended.wait(PATIENCE_S)
    error = job.as_json()["error"]
    assert error["code"] == "internal"
    assert "secret" not in error["message"]


def test_cancelling_ends_the_one_that_runs_and_the_one_that_waits(jobs: Jobs) -> None:
    reached, cancelled, seen = threading.Event(), threading.Event(), []

    def work(progress: Progress) -> dict[str, Any]:
        reached.set()
        assert cancelled.wait(PATIENCE_S)
        try:
            progress.at(1)
        except Cancelled:
            seen.append("cancelled")
            raise
        return {}

    running, waiting = jobs.start("simulate", "ann", work), jobs.start("simulate", "ann", work)
    assert reached.wait(PATIENCE_S)
    jobs.cancel(waiting.id)
    jobs.cancel(running.id)
    cancelled.set()
    assert running.ended.wait(PATIENCE_S)
    assert waiting.ended.wait(PATIENCE_S)
    assert (running.state, waiting.state, seen) == ("cancelled", "cancelled", ["cancelled"])


def test_too_many_waiting_jobs_are_refused_and_kinds_do_not_wait_for_each_other(jobs: Jobs) -> None:
    go_on = threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        assert go_on.wait(PATIENCE_S)
        return {}

    reached = threading.Event()

    def first(progress: Progress) -> dict[str, Any]:
        reached.set()
        return work(progress)

    jobs.start("simulate", "ann", first)
    assert reached.wait(PATIENCE_S)
    other = jobs.start("import", "ann", lambda progress: {"lines": 1})
    assert other.ended.wait(PATIENCE_S)
    for _ in range(MAX_WAITING):
        jobs.start("simulate", "ann", work)
    with pytest.raises(ConflictError, match="waiting"):
        jobs.start("simulate", "ann", work)
    go_on.set()
    assert len(jobs.list("simulate")) == MAX_WAITING + 1


def test_results_are_forgotten_in_time_and_beyond_the_most(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    made = [jobs.start("simulate", "ann", lambda progress: {}) for _ in range(3)]
    assert all(job.ended.wait(PATIENCE_S) for job in made)
    with pytest.raises(NotFoundError, match="kept for 60 minutes"):
        jobs.get(made[0].id)
    assert jobs.get(made[2].id) is made[2]
    jobs.start("simulate", "ann", lambda progress: {}, now=datetime.now(UTC) + timedelta(seconds=KEPT_S + 60))
    with pytest.raises(NotFoundError):
        jobs.get(made[2].id)
