"""B1 to B5. ENUM: each server receives questions, answers with the right expression, forgets what is uninstalled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ringfence.acceptance.case import Case
from ringfence.acceptance.plan import Location
from ringfence.acceptance.record import Evidence, Subject
from ringfence.acceptance.run import Run
from ringfence.acceptance.sbc_side import SeenCall, ask_alone, expected_of
from ringfence.acceptance.trial_policy import PREFIX, TrialPolicy, current_devices

POLICY = "B policy"
_CALL = ("time", "device", "source", "destination", "direction", "action", "rule")


def trial_policy(run: Run) -> TrialPolicy:
    """The run's policy, installed; installed anew when it is not."""
    policy: TrialPolicy = run.memory.setdefault(POLICY, TrialPolicy(run.api, run.numbers))
    if not policy.version:
        run.say("installing the test's policy")
        policy.install()
        wait_until_enforced(run)
    return policy


def wait_until_enforced(run: Run) -> list[str]:
    """Until every ENUM server enforces what it should; those that do not."""
    names = [server.name for location in run.plan.locations for server in location.enum_servers]
    run.until(lambda: not current_devices(run.api, names), run.patience_s / 3)
    return current_devices(run.api, names)


def calls_table(calls: list[dict[str, Any]]) -> Evidence:
    """Events of the API as evidence."""
    rows = tuple(tuple(call.get(column) for column in _CALL) for call in calls[:20])
    return Evidence("Calls as Analytics has them", _CALL, rows)


def seen_table(calls: list[SeenCall], title: str = "Calls as the SBC saw them") -> Evidence:
    """Calls of the SBC as evidence."""
    columns = ("destination", "becomes", "number", "decided by", "ms", "asked")
    rows = tuple(
        (c.destination, c.action, c.number, c.server or "-", round(c.took_ms, 2), c.detail) for c in calls[:40]
    )
    return Evidence(title, columns, rows)


def _each_server(run: Run, step: Callable[[Location, int, Subject], None]) -> None:
    for location, _ in run.locations():
        for place, server in enumerate(location.enum_servers):
            step(location, place, Subject("enum", server.name, location.site))


def _receipt(run: Run) -> None:
    trial_policy(run)

    def step(location: Location, place: int, subject: Subject) -> None:
        since, number = run.now(), run.numbers.allowed
        seen = ask_alone(location, place, run.plan.apex, run.numbers.source, number)
        if seen.server is None:
            address = location.enum_servers[place].address
            run.judge(subject, [f"no answer from {address}; does enum.allow_from name the machine of this test?"], "",
                      seen_table([seen]))  # fmt: skip
            return
        calls = run.until(lambda: run.events("enum", subject.name, since, number))
        faults = [] if calls else [f"a question was answered at its address, but {subject.name} recorded none"]
        for call in calls[:1]:
            faults += [
                f"{side} is shown as {call[side]}, asked was {wanted}"
                for side, wanted in (("source", run.numbers.source), ("destination", number))
                if call[side] != wanted
            ]
            faults += [] if _is_counted(run, subject.name, since) else ["Analytics, view Calls, does not count it"]
        run.judge(subject, faults, "question received; shown in Analytics with source and destination",
                  seen_table([seen]), calls_table(calls))  # fmt: skip

    _each_server(run, step)


def _exchange(action: str) -> Callable[[Run], None]:
    def steps(run: Run) -> None:
        trial_policy(run)
        numbers = run.numbers
        number = {"allow": numbers.allowed, "terminate": numbers.terminated, "redirect": numbers.redirected}[action]
        wanted = expected_of(numbers)[number]

        def step(location: Location, place: int, subject: Subject) -> None:
            since = run.now()
            seen = ask_alone(location, place, run.plan.apex, numbers.source, number)
            faults = [] if (seen.action, seen.number) == wanted else [
                f"the call is to {_words(*wanted)}; the answer says {_words(seen.action, seen.number)}"
            ]  # fmt: skip
            if seen.server and "TTL 0" not in seen.detail:
                faults.append("the answer may be cached (its TTL is not 0): one caller's decision would serve another")
            calls = run.until(lambda: run.events("enum", subject.name, since, number)) if seen.server else []
            if calls and calls[0]["action"] != action:
                faults.append(f"Analytics shows the decision {calls[0]['action']}")
            elif seen.server and not calls:
                faults.append("Analytics does not show the decision at this server")
            run.judge(subject, faults, f"answers {_words(*wanted)}", seen_table([seen]), calls_table(calls))

        _each_server(run, step)
        for location, sbc in run.locations():
            seen = sbc.call(numbers.source, number)
            faults = [] if (seen.action, seen.number) == wanted else [
                f"the SBC did {_words(seen.action, seen.number)}, expected was {_words(*wanted)}"
            ]  # fmt: skip
            run.judge(Subject("site", location.site, location.site), faults, f"{sbc.title}: {_words(*wanted)}",
                      seen_table([seen]))  # fmt: skip

    return steps


def _uninstall(run: Run) -> None:
    policy = trial_policy(run)
    acting = policy.uninstall()
    policy.version = 0
    stale = wait_until_enforced(run)
    numbers = run.numbers

    def step(location: Location, place: int, subject: Subject) -> None:
        faults, seen, calls = [], [], []
        for number in (numbers.terminated, numbers.redirected):
            since = run.now()
            one = ask_alone(location, place, run.plan.apex, numbers.source, number)
            seen.append(one)
            if one.server is None:
                faults.append("no answer")
                continue
            found = _decided(run, subject.name, since, number)
            calls += found
            rule = str(found[0]["rule"] or "") if found else ""
            if one.action in ("terminate", "redirect") and (not rule or rule.startswith(PREFIX)):
                faults.append(f"{number} is still to {_words(one.action, one.number)}: the uninstalled policy acts")
        if subject.name in stale:
            faults.append("did not follow: the mediation does not see it enforce what it should")
        what = f"version {acting} acts again" if acting else "no policy acts; calls are allowed"
        run.judge(subject, faults, what, seen_table(seen), calls_table(calls))

    _each_server(run, step)


def _decided(run: Run, device: str, since: datetime, number: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run.until(lambda: run.events("enum", device, since, number), run.patience_s / 6)
    return found


def _is_counted(run: Run, device: str, since: datetime) -> bool:
    def look() -> int:
        answer = run.api.get(
            "analytics", view="calls", dataset="enum", grouping="minute", device=device, start=since.isoformat()
        )
        column = answer["columns"].index("calls")
        return sum(int(row[column]) for row in answer["rows"])

    return bool(run.until(look))


def _words(action: str, number: str) -> str:
    return f"{action} {number}" if action == "redirect" else action


_ASK = "Ask each server alone, as an SBC does, for a call from the test's source to the {} test number."
CASES = (
    Case(
        "B1",
        "Receipt of questions",
        "Each ENUM server receives questions, and Analytics shows them at this server.",
        (
            _ASK.format("allowed"),
            "Look in Analytics (dataset ENUM, device: the server) for the call and its numbers.",
        ),
        "Each server answers, and Analytics shows the call at it, with source and destination as asked.",
        _receipt,
    ),
    Case(
        "B2",
        "Allow",
        "An allowed call goes on as dialled.",
        ("Install the test's policy.", _ASK.format("allowed"), "Place the call through the SBC of each site."),
        "The expression leaves the number as it is; the SBC connects the call; Analytics shows allow.",
        _exchange("allow"),
    ),
    Case(
        "B3",
        "Terminate",
        "A forbidden call is refused.",
        (_ASK.format("terminated"), "Place the call through the SBC of each site."),
        "The expression leads to the terminating host; the SBC refuses the call; Analytics shows terminate.",
        _exchange("terminate"),
    ),
    Case(
        "B4",
        "Redirect",
        "A call is led to another number.",
        (_ASK.format("redirected"), "Place the call through the SBC of each site."),
        "The expression names the target; the SBC connects the call there; Analytics shows redirect.",
        _exchange("redirect"),
    ),
    Case(
        "B5",
        "Uninstall",
        "Rules that are uninstalled stop acting.",
        (
            "Uninstall the test's policy: what was installed before acts again, or nothing.",
            _ASK.format("terminated") + " Then likewise the redirected one.",
        ),
        "No server refuses or redirects the call because of the test's rules.",
        _uninstall,
    ),
)
