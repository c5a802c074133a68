"""B6 to B11. The SBC's routing by the state of its servers: round robin, one and two down, back, all down, all back.

What each server received is read from Analytics, so an SBC that claims to share its questions does not convince.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from ringfence.acceptance.case import Case
from ringfence.acceptance.cases.enum_answers import seen_table, trial_policy
from ringfence.acceptance.plan import Location
from ringfence.acceptance.record import Evidence, Subject
from ringfence.acceptance.run import Run
from ringfence.acceptance.sbc_side import SbcSide, SeenCall, ask_alone

ROUNDS = 4  # calls for each server
_MARGIN_S = 30.0
_DOWN = "B down"


def _site(location: Location) -> Subject:
    return Subject("site", location.site, location.site)


def _names(location: Location) -> list[str]:
    return [server.name for server in location.enum_servers]


def _place(run: Run, sbc: SbcSide, count: int) -> list[SeenCall]:
    """So many calls to the terminated number: a call that was not decided shows."""
    calls = []
    for _ in range(count):
        calls.append(sbc.call(run.numbers.source, run.numbers.terminated))
        run.say(f"call {len(calls)} of {count}")
    return calls


def _received(run: Run, location: Location, since: datetime, expected: int) -> dict[str, int]:
    """What each server of the site received, once that is as many as the SBC had decided."""

    def look() -> dict[str, int]:
        number = run.numbers.terminated
        return {name: len(run.events("enum", name, since, number)) for name in _names(location)}

    run.until(lambda: sum(look().values()) >= expected)
    return look()


def _received_table(received: dict[str, int]) -> Evidence:
    return Evidence("Questions that each server received, as Analytics has it", ("server", "questions"),
                    tuple(received.items()))  # fmt: skip


def _undecided(calls: list[SeenCall]) -> list[str]:
    wrong = [call for call in calls if call.action != "terminate"]
    return [f"{len(wrong)} of {len(calls)} calls were not decided as they should ({wrong[0].action})"] if wrong else []


def _round_robin(run: Run) -> None:
    trial_policy(run)
    for location, sbc in run.locations():
        names = _names(location)
        since = run.now()
        calls = _place(run, sbc, ROUNDS * len(names))
        received = _received(run, location, since, len(calls))
        run.judge(_site(location), _undecided(calls) + _shares(sbc, received, len(calls)),
                  f"{sbc.title}: shared evenly", _received_table(received), seen_table(calls))  # fmt: skip


def _shares(sbc: SbcSide, received: dict[str, int], calls: int) -> list[str]:
    if sbc.preset.distribution == "hunt":
        return []  # it is set up to ask the first as long as that answers
    even = calls // len(received)
    uneven = [f"{name} {count}" for name, count in received.items() if abs(count - even) > 1]
    return [f"not round robin: of {calls} calls {', '.join(uneven)} where {even} were due"] if uneven else []


def _some_down(count: int) -> Callable[[Run], None]:
    def steps(run: Run) -> None:
        trial_policy(run)
        for location, sbc in run.locations():
            names = _names(location)
            if len(names) <= count:
                run.put(_site(location), "OTHER", f"the site has {len(names)} ENUM servers; not applicable")
                continue
            case = f"B{6 + count}"
            run.hands.stop_server(case, names[count - 1])
            run.memory.setdefault(_DOWN, {}).setdefault(location.site, []).append(names[count - 1])
            down = names[:count]
            since = run.now()
            calls = _place(run, sbc, ROUNDS * len(names))
            received = _received(run, location, since, len(calls))
            faults = _undecided(calls)
            faults += [f"{name} is stopped and yet received {received[name]}" for name in down if received[name]]
            faults += [f"{name} runs and yet received none" for name in names[count:] if not received[name]
                       and sbc.preset.distribution == "round_robin"]  # fmt: skip
            well = f"{', '.join(down)} stopped: every call was decided by {' and '.join(names[count:])}"
            run.judge(_site(location), faults, well, _received_table(received), seen_table(calls))

    return steps


def _back(run: Run) -> None:
    _return_of(run, "B9", "back after the SBC's ban")


def _return_of(run: Run, case: str, words: str) -> None:
    """Start what is stopped; within the SBC's ban and a margin all must be asked again."""
    trial_policy(run)
    for location, sbc in run.locations():
        names = _names(location)
        stopped: list[str] = run.memory.get(_DOWN, {}).pop(location.site, [])
        for name in stopped:
            run.hands.start_server(case, name)
        _wait_for_answers(run, location)
        ban_s = max(sbc.preset.out_of_service_s, sbc.preset.rest_s)
        end = time.monotonic() + ban_s + _MARGIN_S
        began = time.monotonic()
        calls: list[SeenCall] = []
        while True:
            since = run.now()
            calls = _place(run, sbc, len(names))
            received = _received(run, location, since, len(calls))
            is_back = all(received.values()) or (sbc.preset.distribution == "hunt" and received[names[0]] > 0)
            if is_back or time.monotonic() > end:
                break
            run.wait(min(ban_s / 10, 5.0) / max(run.record.wait_scale, 1e-6), "the ban lasts")
        missing = [name for name, count in received.items() if not count] if not is_back else []
        faults = [f"{', '.join(missing)} not asked again within {ban_s + _MARGIN_S:.0f} s"] if missing else []
        faults += _undecided(calls)
        well = f"{words}: all are asked again after {time.monotonic() - began:.1f} s, and decide"
        run.judge(_site(location), faults, well, _received_table(received), seen_table(calls))


def _wait_for_answers(run: Run, location: Location) -> None:
    """Until each server answers at its address."""
    numbers = run.numbers
    for place in range(len(location.enum_servers)):
        run.until(
            lambda place=place: (
                ask_alone(  # type: ignore[misc]
                    location, place, run.plan.apex, numbers.source, numbers.target
                ).server
            )
        )


def _all_down(run: Run) -> None:
    trial_policy(run)
    for location, sbc in run.locations():
        names = _names(location)
        for name in names:
            run.hands.stop_server("B10", name)
        run.memory.setdefault(_DOWN, {})[location.site] = names
        since = run.now()
        calls = _place(run, sbc, ROUNDS)
        received = {name: len(run.events("enum", name, since, run.numbers.terminated)) for name in names}
        failed = [call for call in calls if call.action not in ("proceed", "allow")]
        faults = [
            f"{len(failed)} of {len(calls)} calls did not go on ({failed[0].action}): give the SBC a further route for"
            " the time that no ENUM server answers"
        ] if failed else []  # fmt: skip
        faults += [f"{name} is stopped and yet received {count}" for name, count in received.items() if count]
        run.judge(_site(location), faults, f"{sbc.title}: every call goes on as dialled", seen_table(calls))


def _all_back(run: Run) -> None:
    _return_of(run, "B11", "all started")


_CALLS = f"Place {ROUNDS} calls for each server to the terminated test number through the SBC."
_LOOK = "Look in Analytics which server received how many."
CASES = (
    Case(
        "B6",
        "Round robin",
        "The SBC shares its questions among all ENUM servers of the site.",
        (_CALLS, _LOOK),
        "Each server received as many as any other, one more or less; every call was refused.",
        _round_robin,
        needs_servers=2,
    ),
    Case(
        "B7",
        "One server down",
        "The SBC goes on with the other servers.",
        ("Stop the first ENUM server of the site.", _CALLS, _LOOK),
        "Every call was decided; the stopped server received none, each other received some.",
        _some_down(1),
        needs_servers=2,
    ),
    Case(
        "B8",
        "Two servers down",
        "One server alone decides all calls.",
        ("Stop the second ENUM server of the site as well.", _CALLS, _LOOK),
        "Every call was decided by the server that is left.",
        _some_down(2),
        needs_servers=3,
    ),
    Case(
        "B9",
        "Back after the black-list time",
        "The SBC takes servers that are back into its round by itself.",
        ("Start the stopped servers.", "Place calls until each server is asked again, at most the SBC's ban long."),
        "After the ban each server receives questions again; every call is decided.",
        _back,
        needs_servers=2,
    ),
    Case(
        "B10",
        "All servers down",
        "Without any ENUM server calls go on: policy is lost, telephony is not.",
        ("Stop all ENUM servers of the site.", f"Place {ROUNDS} calls to the terminated test number."),
        "Every call goes on as dialled.",
        _all_down,
    ),
    Case(
        "B11",
        "All servers back",
        "The system recovers by itself.",
        ("Start all ENUM servers of the site.", "Place calls until each server is asked again."),
        "Each server receives questions again; every call is decided.",
        _all_back,
    ),
)
