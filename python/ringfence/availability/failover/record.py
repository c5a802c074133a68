"""What a failover has done: one file, `<data>/failover.json`, replaced at every step, so that it can be gone on with.

{"format": 1, "kind": "failover", "mode": "backup", "active": "…", "started_at": …, "ended_at": …|null,
 "facts": {what later steps and the report need}, "steps": [{"name", "title", "state", "words", "seconds"}]}
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from ringfence.private_file import write_private
from ringfence.settings import Settings

FORMAT = 1
# The way into the old pair, which may hold a token. The term is no secret: telling it is what it is for.
SECRET_FACTS = frozenset({"following"})
State = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Step:
    """One step; `words` say what it did, or why it failed."""

    name: str
    title: str
    state: State = "waiting"
    words: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Record:
    """One failover. Times are ISO 8601."""

    kind: str
    mode: str
    active: str
    started_at: str
    steps: tuple[Step, ...]
    ended_at: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_under_way(self) -> bool:
        """Whether there is something to go on with."""
        return self.ended_at is None

    @property
    def is_done(self) -> bool:
        """Whether it came to its end; else it is under way, or was given up."""
        return all(step.state == "done" for step in self.steps)

    def step(self, name: str) -> Step:
        """One step. KeyError."""
        return {step.name: step for step in self.steps}[name]

    def with_step(self, step: Step) -> Record:
        """With a step's new state."""
        return replace(self, steps=tuple(step if one.name == step.name else one for one in self.steps))

    def with_facts(self, **facts: Any) -> Record:
        """With more known."""
        return replace(self, facts=self.facts | facts)

    def as_json(self) -> dict[str, Any]:
        """As shown: without what enters the old pair."""
        facts = {name: value for name, value in self.facts.items() if name not in SECRET_FACTS}
        return asdict(self) | {"facts": facts, "steps": [asdict(step) for step in self.steps]}


def read_record(settings: Settings) -> Record | None:
    """The last failover of this node; None: there was none, or its file is not readable."""
    try:
        tree = json.loads((settings.data / "failover.json").read_text(encoding="utf-8"))
        if tree.pop("format") != FORMAT:
            return None
        return Record(**tree | {"steps": tuple(Step(**step) for step in tree["steps"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_record(settings: Settings, record: Record) -> None:
    """Replace the file, durably; it is its owner's alone, for it holds secrets."""
    tree = {"format": FORMAT} | asdict(record)
    write_private(settings.data / "failover.json", json.dumps(tree, indent=1) + "\n")
