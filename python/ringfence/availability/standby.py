"""That a node is the standby of another, how it follows it, and how far it is: two files in its data folder.

    <data>/standby/
        standby.json     whom it follows and how, 0600: it may hold a token; there is one: the node is a standby
        state.json       what it copied and imported last, and what it knew of the active then

The role is found by that file alone: `ringfence up` on a standby follows the active instead of serving.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ringfence.database.cluster import has_embedded
from ringfence.errors import ConfigurationError, ConflictError, NotFoundError
from ringfence.private_file import write_private
from ringfence.settings import Settings
from ringfence.trust.verification import Trust

Mode = Literal["backup", "streaming"]
FORMAT = 1
EVERY_S = 60.0


@dataclass(frozen=True)
class Standby:
    """Whom a node follows. `active` is a URL of its API, or what ssh takes for its host."""

    mode: Mode
    active: str
    every_s: float = EVERY_S
    keep: int | None = None
    token: str | None = None
    ca_file: str | None = None
    fingerprints: tuple[str, ...] = ()  # of the active's certificate, over its API
    ssh: tuple[str, ...] = ("ssh",)
    folder: str | None = None  # backups on the active, for rsync
    slot: str | None = None  # streaming: the slot on the active, and the socket of its server
    socket: str | None = None

    @property
    def is_over_api(self) -> bool:
        """Whether the active is reached over its API, else over ssh."""
        return self.active.startswith(("http://", "https://", "unix:"))

    @property
    def trust(self) -> Trust:
        """Whom to believe at its API."""
        return Trust(self.fingerprints, Path(self.ca_file) if self.ca_file else None)

    def as_json(self) -> dict[str, Any]:
        """Without its secret."""
        return {name: value for name, value in self.as_tree().items() if name != "token"}

    def as_tree(self) -> dict[str, Any]:
        """All of it, as JSON has it: for files that are their owner's alone."""
        return asdict(self) | {"ssh": list(self.ssh), "fingerprints": list(self.fingerprints)}

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> Standby:
        """From what `as_tree` gave, also of a version that knew fewer fields. KeyError, TypeError for anything else."""
        return cls(**{**tree, "ssh": tuple(tree["ssh"]), "fingerprints": tuple(tree.get("fingerprints", ()))})


@dataclass(frozen=True)
class State:
    """What a standby did last; times in ISO 8601."""

    copied: str | None = None
    copied_at: str | None = None
    imported: str | None = None
    imported_at: str | None = None
    made_at: str | None = None  # when the imported backup was made
    tried_at: str | None = None
    error: str | None = None
    active_software: str | None = None
    active_seen_at: str | None = None
    # Changes on the active that no imported backup holds, as last seen: audit entries, at most 1,000.
    changes: list[dict[str, Any]] | None = field(default=None)


def read_standby(settings: Settings) -> Standby | None:
    """Whom this node follows; None: it is no standby. ConfigurationError when its file cannot be read."""
    file = _folder(settings) / "standby.json"
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        if tree.pop("format") != FORMAT:
            raise ConfigurationError(f"{file} is of another version of Ringfence: `ringfence standby init` again")
        return Standby.from_tree(tree)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from None


def has_database(settings: Settings) -> bool:
    """Whether this node has a database: an external one by URL, or an embedded cluster."""
    return settings.database.url is not None or has_embedded(settings.data)


def role_of(settings: Settings) -> str:
    """standby, active (it has a database of its own), or none."""
    if read_standby(settings) is not None:
        return "standby"
    return "active" if has_database(settings) else "none"


def become(settings: Settings, standby: Standby) -> None:
    """From now on this node is a standby."""
    folder = _folder(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "state.json").unlink(missing_ok=True)
    tree = standby.as_tree() | {"format": FORMAT}
    write_private(folder / "standby.json", json.dumps(tree, indent=2) + "\n")


def leave(settings: Settings) -> Standby:
    """From now on this node follows nobody. Its database stays as it is. NotFoundError when it is no standby."""
    standby = require(settings)
    (_folder(settings) / "standby.json").unlink()
    return standby


def require(settings: Settings) -> Standby:
    """Whom this node follows. NotFoundError when it is no standby."""
    standby = read_standby(settings)
    if standby is None:
        raise NotFoundError("standby: this node follows nobody: `ringfence standby init HOST` makes a standby of it")
    return standby


def read_state(settings: Settings) -> State:
    """What was done last; an empty one before the first run."""
    try:
        return State(**json.loads((_folder(settings) / "state.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return State()


def note(settings: Settings, **fields: Any) -> State:
    """Keep some fields of the state."""
    _folder(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
    state = replace(read_state(settings), **fields)
    write_private(_folder(settings) / "state.json", json.dumps(asdict(state), indent=1) + "\n")
    return state


def refuse_to_replace(settings: Settings, *, may_replace: bool) -> None:
    """ConflictError when becoming a standby would replace a database that nobody said may go."""
    if read_standby(settings) is None and has_database(settings) and not may_replace:
        raise ConflictError(
            "standby: this node has a database of its own, which the active's would replace: say --replace"
        )


@contextmanager
def told(settings: Settings, now: datetime) -> Iterator[None]:
    """Whatever fails inside is noted with its reason, and raised on."""
    note(settings, tried_at=now.isoformat())
    try:
        yield
    except Exception as error:
        note(settings, error=str(error))
        raise
    note(settings, error=None)


def _folder(settings: Settings) -> Path:
    return settings.data / "standby"
