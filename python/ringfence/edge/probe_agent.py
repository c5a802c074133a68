"""The agent beside a probe: uplink of call records, heartbeat, /metrics and /healthz."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ringfence.availability.highest_term import HighestTerm
from ringfence.capture.link_state import read_link
from ringfence.edge.agent import EdgeAgent, Part
from ringfence.edge.data_plane import DataPlane, EventJournal
from ringfence.edge.enrolment import Identity
from ringfence.edge.evidence_answers import EvidenceAnswers
from ringfence.edge.heartbeat import Heartbeat
from ringfence.edge.hep_out import HepOut
from ringfence.edge.metrics import hep_families, way_up
from ringfence.edge.uplink import Uplink
from ringfence.errors import RingfenceError
from ringfence.settings import EdgeSettings

# Counters that go up and down; all others only grow.
GAUGES = frozenset(("calls_in_progress", "streams_in_progress", "ladder_octets"))


class ProbePlane(DataPlane, Protocol):
    """A running probe; see `_native.pyi`."""

    def wrong(self) -> str | None: ...


class ProbeAgent(EdgeAgent):
    """One probe's agent. It follows no policy: a probe watches."""

    kind = "probe"

    def __init__(
        self,
        probe: ProbePlane,
        journal: EventJournal,
        settings: EdgeSettings,
        identity: Identity,
        highest: HighestTerm | None = None,
        interfaces: Sequence[str] = (),
        answers: EvidenceAnswers | None = None,
    ) -> None:
        """`interfaces`: those that the probe reads; how their links are is reported with each heartbeat.

        `answers`: who answers when the mediation asks for messages; None: it is not asked whether it does.
        """
        super().__init__(probe, journal, settings, identity, lambda: (0, ""), highest)
        self._probe = probe
        self._interfaces = tuple(interfaces)
        self._answers = answers
        if answers is not None:
            answers.failures = self.failures
        self.heartbeat.more = lambda: {"links": [_link(name) for name in self._interfaces]}

    def beside_mediation(self) -> list[tuple[str, Part]]:
        """Also the answers."""
        answers: list[tuple[str, Part]] = [("answers", self._answers.run)] if self._answers is not None else []
        return [*super().beside_mediation(), *answers]

    def collector(self) -> Collector:
        """What /metrics shows."""
        return ProbeMetrics(self._probe, self._journal, self.uplink, self.heartbeat, self.hep_out)

    def what_is_wrong(self) -> str | None:
        """Which source does not deliver; nothing of the mediation is looked at."""
        return self._probe.wrong()


def _link(name: str) -> dict[str, Any]:
    """One interface as the mediation shows it; of a bond with its members."""
    try:
        link = read_link(name)
    except RingfenceError as error:
        return {"name": name, "is_up": False, "bond_mode": None, "members": [], "packets": 0, "drops": 0,
                "problems": [error.message]}  # fmt: skip
    return {
        "name": name,
        "is_up": link.is_up,
        "bond_mode": link.bond_mode,
        "members": [member.name for member in link.members],
        "packets": link.packets,
        "drops": link.drops,
        "problems": link.problems(),
    }


class ProbeMetrics(Collector):
    """Reads everything at the moment of the scrape. Names and meanings: docs/metrics.md."""

    def __init__(
        self,
        probe: ProbePlane,
        journal: EventJournal,
        uplink: Uplink,
        heartbeat: Heartbeat,
        hep_out: HepOut | None = None,
    ) -> None:
        self._probe = probe
        self._journal = journal
        self._uplink = uplink
        self._heartbeat = heartbeat
        self._hep_out = hep_out

    def collect(self) -> Iterable[Metric]:
        """All families: what the data plane counts, then the way up."""
        counters: dict[str, int] = json.loads(self._probe.counters())
        for name, value in counters.items():
            family = GaugeMetricFamily if name in GAUGES else CounterMetricFamily
            yield family(f"ringfence_probe_{name}", f"Probe: {name.replace('_', ' ')}", value)
        yield from way_up("ringfence_probe", self._journal, self._uplink, self._heartbeat)
        yield from hep_families("ringfence_probe", self._hep_out)
