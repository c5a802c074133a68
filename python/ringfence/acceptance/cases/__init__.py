"""The cases of the functional system test (R23): A baseline, B ENUM, C probe. Each file holds words and steps."""

from __future__ import annotations

from ringfence.acceptance.case import Case
from ringfence.acceptance.cases import baseline, enum_answers, enum_routing, probe
from ringfence.acceptance.plan import Plan
from ringfence.errors import InvalidInputError

ALL: tuple[Case, ...] = (*baseline.CASES, *enum_answers.CASES, *enum_routing.CASES, *probe.CASES)


def cases_for(plan: Plan, only: tuple[str, ...] = ()) -> tuple[tuple[Case, ...], tuple[tuple[str, str], ...]]:
    """(cases that run, (case, reason) of those that do not). `only`: cases or groups (`B`, `B3`). InvalidInputError."""
    for wanted in only:
        if not any(case.id == wanted or case.id[0] == wanted for case in ALL):
            known = ", ".join(case.id for case in ALL)
            raise InvalidInputError(f"case: {wanted!r} is not known; expected A, B, C or one of {known}")
    servers = max(len(location.enum_servers) for location in plan.locations)
    has_probes = any(location.probes for location in plan.locations)
    excluded = {one.case: one.reason for one in plan.without}
    run: list[Case] = []
    skipped: list[tuple[str, str]] = []
    for case in ALL:
        if only and case.id not in only and case.id[0] not in only:
            continue
        reason = excluded.get(case.id)
        if reason is None and servers < case.needs_servers:
            reason = f"no site has {case.needs_servers} ENUM servers"
        if reason is None and case.needs_probes and not has_probes:
            reason = "no site has a probe"
        if reason is None:
            run.append(case)
        else:
            skipped.append((case.id, reason))
    return tuple(run), tuple(skipped)
