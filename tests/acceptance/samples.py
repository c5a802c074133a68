"""A plan and a record as a run leaves them, without a run."""

from __future__ import annotations

from ringfence.acceptance.cases import cases_for
from ringfence.acceptance.plan import Plan, plan_from
from ringfence.acceptance.record import Earlier, Evidence, Record, Result, Subject, Verdict

AT = "2026-11-22T12:00:00+00:00"


def sample_plan(servers: int = 3, probes: int = 2) -> Plan:
    """Two sites."""
    return plan_from(
        {
            "title": "Functional system test",
            "customer": "Example Telephone Company",
            "reference": "PO 4711",
            "prepared_by": "A. Engineer",
            "prepared_on": "2026-11-20",
            "people": [
                {"role": "tester", "name": "Tess Ter", "company": "Ringfence", "duties": "carries out the procedures"},
                {"role": "witness", "name": "Will Ness", "company": "Example Telephone", "duties": "watches and signs"},
            ],
            "schedule": [{"what": "Baseline and ENUM", "day": "2026-11-22", "hours": "09:00-12:00 CST", "who": "both"}],
            "scope": ["A: the system runs", "B: ENUM", "C: probes"],
            "out_of_scope": ["Load"],
            "management": {"active": "mediation at east", "standby": "mediation at west"},
            "locations": [
                {
                    "site": site,
                    "address": f"{site} street 1",
                    "sbc": {"name": "SBC", "preset": "oracle"},
                    "enum_servers": [
                        {"name": f"{site}-enum-{n}", "address": f"192.0.2.{10 * place + n}:53"}
                        for n in range(1, servers + 1)
                    ],
                    "probes": [{"name": f"{site}-probe-{n}", "interface": "bond0"} for n in range(1, probes + 1)],
                }
                for place, site in enumerate(("east", "west"), 1)
            ],
            "numbers": {
                "source": "+13005550000",
                "allowed": "+12105550123",
                "terminated": "+19005550100",
                "redirected": "+12105550100",
                "target": "+12105550199",
            },
        }
    )


def sample_record(verdicts: dict[tuple[str, str], Verdict] | None = None, run: str = "R-1") -> Record:
    """A run that ended; `verdicts` (case, subject) other than PASS."""
    plan = sample_plan()
    cases, skipped = cases_for(plan)
    results = []
    for case in cases:
        for subject in _subjects(plan, case.id):
            verdict = (verdicts or {}).get((case.id, subject.name), "PASS")
            table = Evidence(
                "Calls as Analytics has them", ("time", "device", "action"), ((AT, subject.name, "allow"),) * 3
            )
            results.append(Result(case.id, subject, verdict, "as expected" if verdict == "PASS" else "came out "
                                  "otherwise than expected", AT, "machine", (table,)))  # fmt: skip
    return Record(
        run, plan, "live", "SBC emulator, preset oracle", "0.1.0", "2026-11-22T09:00:00+00:00", "ada",
        ended_at=AT, cases=tuple(case.id for case in cases), skipped=skipped, results=tuple(results),
        earlier=(Earlier("R-0", "2026-11-21T12:00:00+00:00", "FAIL", ("B3 east-enum-2",)),),
        tester="Tess Ter", witness="Will Ness",
    )  # fmt: skip


def _subjects(plan: Plan, case: str) -> list[Subject]:
    servers = [Subject("enum", s.name, one.site) for one in plan.locations for s in one.enum_servers]
    probes = [Subject("probe", p.name, one.site) for one in plan.locations for p in one.probes]
    if case.startswith("A"):
        return [Subject("deployment", "mediation"), *servers, *probes]
    if case.startswith("C"):
        return probes
    sites = [Subject("site", one.site, one.site) for one in plan.locations]
    return servers if case in ("B1", "B5") else sites if int(case[1:]) > 5 else [*servers, *sites]
