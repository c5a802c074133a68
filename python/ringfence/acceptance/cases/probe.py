"""C. Probe: the tap's link, what arrives there, and the records that become of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ringfence.acceptance.case import Case
from ringfence.acceptance.cases.enum_answers import seen_table
from ringfence.acceptance.plan import Location
from ringfence.acceptance.record import Evidence, Subject
from ringfence.acceptance.run import Run
from ringfence.acceptance.sbc_side import SbcSide, SeenCall

CALLS = 2
# A probe writes a call's record when no late message can come any more.
_LINGER_S = 10.0
_RECORD = ("time", "device", "source", "destination", "direction", "result", "status", "duration_ms", "codec")


def _sites(run: Run) -> list[tuple[Location, SbcSide]]:
    return [(one, run.sbcs[one.site]) for one in run.plan.locations if one.probes]


def _device(run: Run, name: str) -> dict[str, Any]:
    found: dict[str, Any] = run.api.get(f"devices/{name}")
    return found


def _calls(run: Run, location: Location, sbc: SbcSide, case: str) -> list[SeenCall]:
    if sbc.makes_calls:
        return [sbc.call(run.numbers.source, run.numbers.allowed) for _ in range(CALLS)]
    run.hands.judge(
        case,
        location.site,
        f"Place {CALLS} calls from {run.numbers.source} to {run.numbers.allowed} through the SBC of {location.site},"
        " let each be answered, hang up, then say PASS; say FAIL when they cannot be placed.",
    )
    return []


def _link(run: Run) -> None:
    for location, _ in _sites(run):
        for probe in location.probes:
            subject = Subject("probe", probe.name, location.site)
            links = run.until(lambda name=probe.name: _device(run, name)["report"].get("links"), 5.0)  # type: ignore[misc]
            if links is None:
                answer = run.hands.judge(
                    "C1", probe.name, f"On {probe.name} run `ringfence probe check {probe.interface}`: is all well?"
                )
                run.put(subject, answer.verdict or "OTHER", answer.comment or "as judged there", by=answer.by)
                continue
            faults = [problem for link in links for problem in link["problems"]]
            if not links:
                faults.append("reads no interface")
            run.judge(subject, faults, "link is up, no errors", _links_table(links))


def _links_table(links: list[dict[str, Any]]) -> Evidence:
    columns = ("interface", "up", "bond", "members", "packets", "dropped")
    rows = (
        (one["name"], one["is_up"], one["bond_mode"] or "-", ", ".join(one["members"]) or "-", one["packets"],
         one["drops"])
        for one in links
    )  # fmt: skip
    return Evidence("Links", columns, tuple(rows))


def _capture(run: Run) -> None:
    for location, sbc in _sites(run):
        before = {probe.name: _packets(_device(run, probe.name)) for probe in location.probes}
        seen = _calls(run, location, sbc, "C2")
        for probe in location.probes:
            old = before[probe.name]
            now = run.until(lambda name=probe.name, old=old: _more(run, name, old), run.patience_s / 2)  # type: ignore[misc]
            faults = [] if now else [f"no packet arrived at {probe.name} while calls were placed (still {old})"]
            rows = ((probe.name, old, now or old),)
            run.judge(Subject("probe", probe.name, location.site), faults, "packets arrive",
                      Evidence("Packets", ("probe", "before", "after"), rows), seen_table(seen))  # fmt: skip


def _processing(run: Run) -> None:
    for location, sbc in _sites(run):
        since = run.now()
        seen = _calls(run, location, sbc, "C3")
        for probe in location.probes:
            subject = Subject("probe", probe.name, location.site)
            number = run.numbers.allowed
            records = _recorded(run, probe.name, since, number)
            faults = [] if len(records) >= CALLS else [f"{len(records)} of {CALLS} calls are recorded"]
            for call in records:
                faults += _wrong(call, run.numbers.source, number)
            faults += [] if faults or _is_counted(run, probe.name, since) else ["Analytics does not count the calls"]
            rows = tuple(tuple(call.get(column) for column in _RECORD) for call in records[:10])
            # A call that is missing, or wrong, may be one whose packets the probe could not take in.
            links = _links_table(_device(run, probe.name)["report"].get("links") or [])
            run.judge(subject, list(dict.fromkeys(faults)), f"{len(records)} calls recorded as they were placed",
                      Evidence("Call records", _RECORD, rows), links, seen_table(seen))  # fmt: skip


def _recorded(run: Run, probe: str, since: datetime, number: str) -> list[dict[str, Any]]:
    """What a probe recorded of the calls, once those are all, or patience is over."""
    run.until(lambda: len(run.events("sip", probe, since, number)) >= CALLS, run.patience_s / 2 + _LINGER_S)
    return run.events("sip", probe, since, number)


def _wrong(call: dict[str, Any], source: str, destination: str) -> list[str]:
    faults = [f"source is shown as {call['source']}"] if call["source"] != source else []
    faults += [f"destination is shown as {call['destination']}"] if call["destination"] != destination else []
    faults += [f"result is {call['result']}, the call was answered"] if call["result"] != "answered" else []
    faults += ["no duration"] if call["duration_ms"] is None else []
    return faults + (["no direction"] if not call["direction"] else [])


def _is_counted(run: Run, device: str, since: datetime) -> bool:
    def look() -> int:
        answer = run.api.get(
            "analytics", view="calls", dataset="sip", grouping="minute", device=device, start=since.isoformat()
        )
        column = answer["columns"].index("calls")
        return sum(int(row[column]) for row in answer["rows"])

    return bool(run.until(look))


def _packets(device: dict[str, Any]) -> int:
    return int(device["report"].get("counters", {}).get("packets", 0))


def _more(run: Run, name: str, before: int) -> int:
    now = _packets(_device(run, name))
    return now if now > before else 0


_PLACE = f"Place {CALLS} calls through the SBC, let them be answered and hang up."
CASES = (
    Case(
        "C1",
        "Link of the tap",
        "The bond and its members are up and receive without errors.",
        ("Look at the probe's report of its interfaces.",),
        "Interface, bond and all members are up; no errors, no drops.",
        _link,
        needs_probes=True,
    ),
    Case(
        "C2",
        "Capture",
        "Packets of calls arrive at the probe.",
        ("Note the probe's packet counter.", _PLACE, "Compare."),
        "The counter has grown.",
        _capture,
        needs_probes=True,
    ),
    Case(
        "C3",
        "Proper processing",
        "Calls become records, shown at this probe in Analytics.",
        (_PLACE, "Look in Analytics (dataset SIP, device: the probe) for the calls."),
        "Each call is shown with source, destination, direction, times and result as it was placed.",
        _processing,
        needs_probes=True,
    ),
)
