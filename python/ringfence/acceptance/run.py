"""A run: the plan's cases one after the other, against a deployment that is seen through its API only.

cases ── questions ──► Api (status, events, analytics, policy)      what the deployment says
      ── calls ──────► SbcSide (emulator, Kamailio, a person)       what the SBC saw
      ── orders ─────► Hands (a person, or the lab)
      └── results ───► Record
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from ringfence.acceptance.case import Case
from ringfence.acceptance.hands import Hands, NobodyThereError
from ringfence.acceptance.plan import Location
from ringfence.acceptance.record import Evidence, Record, Result, Subject, Verdict
from ringfence.acceptance.sbc_side import SbcSide
from ringfence.errors import RingfenceError

# What happened reaches the API within a second; this is for machines that do something else as well. Not scaled.
PATIENCE_S = 30.0
_POLL_S = 0.1


class Api(Protocol):
    """The deployment's HTTP API below /api/v1. Raises RingfenceError as the mediation says."""

    def get(self, path: str, **parameters: Any) -> Any:
        """GET; parameters that are None are left out."""

    def post(self, path: str, body: Any = None, **parameters: Any) -> Any:
        """POST a JSON body."""


@dataclass(frozen=True)
class Progress:
    """How far a run is. `words`: what it does now."""

    done: int
    total: int
    case: str
    words: str


Tell = Callable[[Progress, Record], None]


class Run:
    """What the steps of a case use. `tell` is called often, with the record so far; what it raises ends the run."""

    def __init__(
        self,
        record: Record,
        api: Api,
        hands: Hands,
        sbcs: Mapping[str, SbcSide],
        tell: Tell = lambda progress, record: None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.record = record
        self.plan = record.plan
        self.numbers = record.plan.numbers
        self.api = api
        self.hands = hands
        self.sbcs = sbcs
        self.now = now
        self.patience_s = patience_s
        self.began = now()
        self.memory: dict[str, Any] = {}  # what one case hands to a later one
        self._tell = tell
        self._done = 0
        self._case = ""

    def execute(self, cases: Sequence[Case]) -> Record:
        """All of them; the record with its end. A case that cannot be carried out is OTHER, and the next one begins."""
        try:
            for number, case in enumerate(cases):
                self._done, self._case = number, case.id
                self.say(case.title)
                self._carry_out(case)
        except BaseException:
            told = f"{self.now():%Y-%m-%d %H:%M} UTC: the run was broken off in case {self._case}"
            self.record = replace(self.record, is_whole=False, notes=(*self.record.notes, told))
            raise
        finally:
            self._case = ""
            self.record = replace(self.record, ended_at=self.now().isoformat(timespec="seconds"))
            self._done = len(cases)
        self.say("done")
        return self.record

    def say(self, words: str) -> None:
        """Tell what goes on."""
        self._tell(Progress(self._done, len(self.record.cases), self._case, words), self.record)

    def put(self, subject: Subject, verdict: Verdict, comment: str, *evidence: Evidence, by: str = "machine") -> None:
        """A result of the present case. A second one on the same subject only makes it worse, and adds evidence."""
        at = self.now().isoformat(timespec="seconds")
        result = Result(self._case, subject, verdict, comment, at, by, evidence)
        kept = list(self.record.results)
        for place, one in enumerate(kept):
            if (one.case, one.subject) == (result.case, subject):
                worse = result if _WEIGHT[verdict] > _WEIGHT[one.verdict] else one
                comment = one.comment if comment == one.comment else f"{one.comment}; {comment}"
                kept[place] = replace(worse, comment=comment, evidence=one.evidence + evidence)
                break
        else:
            kept.append(result)
        self.record = replace(self.record, results=tuple(kept))
        self.say(f"{subject.name}: {verdict}")

    def judge(self, subject: Subject, faults: Sequence[str], well: str, *evidence: Evidence) -> None:
        """FAIL with the faults, or PASS when there is none."""
        self.put(subject, "FAIL" if faults else "PASS", "; ".join(faults) or well, *evidence)

    def wait(self, seconds: float, why: str) -> None:
        """A wait of the procedure, scaled as the record says; told each second."""
        end = time.monotonic() + seconds * self.record.wait_scale
        while (left := end - time.monotonic()) > 0:
            self.say(f"{why}: {left:.0f} s left")
            time.sleep(min(left, 1.0))

    def until(self, look: Callable[[], Any], patience_s: float | None = None) -> Any:
        """What `look` gives once that is true, else the last of it."""
        end = time.monotonic() + (self.patience_s if patience_s is None else patience_s)
        while True:
            found = look()
            if found or time.monotonic() > end:
                return found
            time.sleep(_POLL_S)
            self.say("waiting for what must come")

    def locations(self) -> list[tuple[Location, SbcSide]]:
        """Every site that has ENUM servers, with its SBC."""
        return [(one, self.sbcs[one.site]) for one in self.plan.locations if one.enum_servers]

    def events(
        self, dataset: str, device: str, since: datetime, destination: str | None = None
    ) -> list[dict[str, Any]]:
        """What a device has reported of calls from the test's source, newest first, at most 1000."""
        found: dict[str, Any] = self.api.get(
            "events",
            dataset=dataset,
            device=device,
            source=self.numbers.source,
            destination=destination,
            start=since.isoformat(),
            limit=1000,
        )
        calls: list[dict[str, Any]] = found["calls"]
        return calls

    def _carry_out(self, case: Case) -> None:
        before = len(self.record.results)
        try:
            case.steps(self)
        except NobodyThereError as error:
            self.put(Subject("deployment", "deployment"), "OTHER", error.message)
        except RingfenceError as error:
            self.put(Subject("deployment", "deployment"), "FAIL", f"could not be carried out: {error.message}")
        if len(self.record.results) == before:
            self.put(Subject("deployment", "deployment"), "OTHER", "nothing in this deployment is concerned")


_WEIGHT: dict[Verdict, int] = {"PASS": 0, "OTHER": 1, "FAIL": 2}
