"""Two sites with a pair each, and ENUM servers that know both; calls go on while the roles are swapped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.edge.edge_process import Edge
from tests.failover.pair_node import PairNode
from tests.system.running_node import eventually


@dataclass
class Sites:
    """Both pairs and the ENUM servers. `outcomes`: what each failover said, in order."""

    first: PairNode
    second: PairNode
    edges: list[Edge] = field(default_factory=list)
    asked: int = 0
    unanswered: int = 0

    def sequences(self, node: PairNode) -> list[tuple[str, int]]:
        """Every event that a pair holds."""
        rows = node.rows(
            "SELECT d.name, e.sequence FROM enum_event e JOIN device d USING (device_id) ORDER BY d.name, e.sequence"
        )
        return [(str(row[0]), int(row[1])) for row in rows]

    def recorded(self) -> list[tuple[str, int]]:
        """Every event that the ENUM servers have recorded: each query once."""
        return [
            (f"enum-{number}", sequence)
            for number, edge in enumerate(self.edges, 1)
            for sequence in range(1, int(edge.metric("ringfence_enum_queries_total")) + 1)
        ]

    def assert_each_event_once(self, node: PairNode) -> None:
        """Every query was answered, and stands once in the pair's database."""
        recorded = self.recorded()
        assert len(recorded) == self.asked
        eventually(lambda: len(self.sequences(node)) >= len(recorded), f"{len(recorded)} events at {node.name}", 60)
        assert self.sequences(node) == recorded

    @contextmanager
    def calls(self) -> Iterator[None]:
        """A query to every ENUM server in turn, four a second, until the block ends; none may stay unanswered."""
        stop = threading.Event()

        def ask() -> None:
            while not stop.wait(0.25):
                for edge in self.edges:
                    self.asked += 1
                    try:
                        edge.ask()
                    except Exception:
                        self.unanswered += 1

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert self.unanswered == 0
