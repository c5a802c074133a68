"""A model of edges and pairs that exchange messages in any order, late, twice or never: no split brain, no event lost.

The rules are the product's own (`Cluster.hear`, `Cluster.next_term`, `HighestTerm`); network, restores and failovers
are drawn. What holds at every step: an edge does work only with terms that never fall, no two pairs share a term, a
pair that has heard of a higher one takes nothing. When the network heals, exactly one pair takes work and has each
event of each edge once.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ringfence.availability.cluster import Cluster
from ringfence.availability.highest_term import HighestTerm
from ringfence.availability.term import Term

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = b"k" * 32
PAIRS, EDGES = 3, 3
pairs = st.integers(0, PAIRS - 1)
edges = st.integers(0, EDGES - 1)


@dataclass
class Pair:
    """A mediation with its database: the term, and the last sequence of each edge that it holds."""

    cluster: Cluster
    received: dict[int, int] = field(default_factory=dict)

    def hear(self, claim: Term | None) -> None:
        if claim is not None:
            self.cluster = self.cluster.hear(claim, NOW)


@dataclass
class Edge:
    """A journal of numbered events, and the highest term seen."""

    highest: HighestTerm = field(default_factory=HighestTerm)
    written: int = 0
    worked_with: list[Term] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """What an edge sent: events after `after` up to `last`, with the highest term that it knew."""

    edge: int
    pair: int
    after: int
    last: int
    shown: Term | None


@dataclass(frozen=True)
class Answer:
    """What a pair said: its own term and what it holds; None: it takes no work."""

    edge: int
    term: Term
    received: int | None


class Network(RuleBasedStateMachine):
    """Messages under way may be delivered in any order, more than once, or never."""

    @initialize()
    def begin(self) -> None:
        first = Cluster(Term.sealed("ab" * 16, 1, "0" * 16, SECRET), SECRET)
        self.pairs = [Pair(first), Pair(first), Pair(first)]
        # Only the first is started; the others are its standbys: they take work from their first failover on.
        self.is_started = [True, False, False]
        self.edges = [Edge() for _ in range(EDGES)]
        self.backups: list[Pair] = []
        self.requests: list[Request] = []
        self.answers: list[Answer] = []

    @rule(edge=edges)
    def call(self, edge: int) -> None:
        self.edges[edge].written += 1

    @rule(edge=edges, pair=pairs, believed=st.integers(0, 3))
    def send(self, edge: int, pair: int, believed: int) -> None:
        """An edge may be wrong about what the pair holds: gaps are refused, what is known is trimmed."""
        one = self.edges[edge]
        after = min(believed, one.written)
        self.requests.append(Request(edge, pair, after, one.written, one.highest.term))

    @rule(data=st.data())
    def deliver_request(self, data: st.DataObject) -> None:
        if self.requests:
            self._serve(data.draw(st.sampled_from(self.requests)))

    @rule(data=st.data())
    def deliver_answer(self, data: st.DataObject) -> None:
        if self.answers:
            self._hear(data.draw(st.sampled_from(self.answers)))

    @rule(one=pairs, other=pairs)
    def partners_meet(self, one: int, other: int) -> None:
        self.pairs[one].hear(self.pairs[other].cluster.highest)

    @rule(pair=pairs)
    def back_up(self, pair: int) -> None:
        if self.is_started[pair]:
            self.backups.append(deepcopy(self.pairs[pair]))

    @rule(pair=pairs, data=st.data(), knows=st.booleans())
    def fail_over(self, pair: int, data: st.DataObject, knows: bool) -> None:
        """To a backup of any age or to what it has; knowing what the other pairs have, or cut off from them."""
        before = self.pairs[pair].cluster
        restores = data.draw(st.booleans())
        if self.backups and restores:
            self.pairs[pair] = deepcopy(data.draw(st.sampled_from(self.backups)))
        # A node keeps the highest term that it has heard of beside its database.
        self.pairs[pair].hear(before.highest)
        if knows:
            for other in self.pairs:
                self.pairs[pair].hear(other.cluster.highest)
        fresh = self.pairs[pair].cluster.next_term()
        self.pairs[pair].cluster = Cluster(fresh, SECRET)
        self.is_started[pair] = True

    @invariant()
    def no_two_started_pairs_share_a_term(self) -> None:
        terms = [pair.cluster.term for pair, started in zip(self.pairs, self.is_started, strict=True) if started]
        assert len(set(terms)) == len(terms)

    @invariant()
    def an_edge_never_goes_back(self) -> None:
        for edge in self.edges:
            orders = [term.order for term in edge.worked_with]
            assert orders == sorted(orders)

    def teardown(self) -> None:
        """The network heals: everybody meets everybody twice."""
        if not hasattr(self, "pairs"):
            return
        for _ in range(2):
            for number, edge in enumerate(self.edges):
                for pair in range(PAIRS):
                    self._serve(Request(number, pair, 0, edge.written, edge.highest.term))
                    if self.answers:
                        self._hear(self.answers[-1])
        active = [
            pair
            for pair, started in zip(self.pairs, self.is_started, strict=True)
            if started and not pair.cluster.is_fenced
        ]
        assert len(active) == 1
        assert active[0].cluster.term == max((pair.cluster.highest for pair in self.pairs), key=lambda term: term.order)
        for number, edge in enumerate(self.edges):
            assert active[0].received.get(number, 0) == edge.written

    def _serve(self, request: Request) -> None:
        pair = self.pairs[request.pair]
        if not self.is_started[request.pair]:
            return
        pair.hear(request.shown)
        if pair.cluster.is_fenced:
            self.answers.append(Answer(request.edge, pair.cluster.term, None))
            return
        held = pair.received.get(request.edge, 0)
        if request.after <= held:
            # One row for each sequence: what is known is trimmed, so a second delivery adds nothing.
            pair.received[request.edge] = max(held, request.last)
        self.answers.append(Answer(request.edge, pair.cluster.term, pair.received.get(request.edge, 0)))

    def _hear(self, answer: Answer) -> None:
        edge = self.edges[answer.edge]
        if answer.received is not None and edge.highest.accept(answer.term):
            edge.worked_with.append(answer.term)


Network.TestCase.settings = settings(stateful_step_count=40, max_examples=60)
TestNoSplitBrain = Network.TestCase
