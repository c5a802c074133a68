"""What a backup says of itself: `manifest.json`, the first member of its archive (format in `archive`).

The manifest is plain text even in an encrypted backup, so that a shelf can be listed without the key; its seal proves
it. Nothing in it is believed before it was parsed here: names of files lead nowhere outside the folder they go to.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from ringfence import __version__
from ringfence.errors import InvalidInputError

# Bytes on disk: tests/availability/test_archive.py holds an archive of each format that was ever released.
FORMAT = 1
DATABASE = "database"
CONFIGURATION = "configuration"
EDGE_PREFIX = "edge:"
BACKUP_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
_SECTION = re.compile(r"database|configuration|edge:(enum|probe)")
_PATH = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
LONGEST_PATH = 100  # what a tar header holds (POSIX ustar, name)


@dataclass(frozen=True)
class File:
    """One member of the archive: octets as they are stored (of an encrypted backup: the ciphertext)."""

    section: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A backup's identity, versions and contents."""

    backup_id: str
    created_at: datetime
    host: str
    software: str
    sections: tuple[str, ...]
    files: tuple[File, ...]
    key: str | None = None
    # Of section `database`: revision of the schema, versions of server and pg_dump, rows of small tables.
    schema: str | None = None
    server_version: str | None = None
    dump_version: str | None = None
    database_bytes: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    # Last event of each stream at the snapshot, "DEVICE/JOURNAL/STREAM": what edges send again follows from it.
    positions: dict[str, int] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def content_bytes(self) -> int:
        """Octets of all members."""
        return sum(file.size for file in self.files)

    def as_json(self) -> dict[str, Any]:
        """Everything but the list of files."""
        return asdict(self) | {
            "created_at": self.created_at.isoformat(),
            "sections": list(self.sections),
            "files": len(self.files),
        }

    def to_bytes(self) -> bytes:
        """The canonical text, whole."""
        tree = asdict(self) | {"created_at": self.created_at.isoformat()}
        return json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"


def new_backup_id(now: datetime) -> str:
    """An id that sorts by time; two in one second differ."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def new_manifest(now: datetime, sections: tuple[str, ...], **versions: Any) -> Manifest:
    """The manifest of a backup that is being made on this host, still without files."""
    return Manifest(new_backup_id(now), now, socket.gethostname(), __version__, sections, (), **versions)


def parse_manifest(octets: bytes) -> Manifest:
    """InvalidInputError `invalid.backup` for a manifest of a newer format, or one that is none."""
    try:
        tree = json.loads(octets)
        found = int(tree["format"])
        if found > FORMAT:
            raise newer(f"format {found} by Ringfence {tree.get('software')}", f"format {FORMAT}")
        files = tuple(_file(item) for item in tree.pop("files"))
        sections = tuple(str(name) for name in tree.pop("sections"))
        created_at = datetime.fromisoformat(tree.pop("created_at"))
        manifest = Manifest(created_at=created_at, sections=sections, files=files, **tree)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"the manifest is damaged: {error}", code="invalid.backup") from None
    if not BACKUP_ID.fullmatch(manifest.backup_id) or not all(_SECTION.fullmatch(name) for name in sections):
        raise InvalidInputError("the manifest is damaged: id or sections are not such", code="invalid.backup")
    return manifest


def newer(found: str, known: str) -> InvalidInputError:
    """The refusal of what a newer Ringfence made."""
    return InvalidInputError(
        f"it was made in {found}, this Ringfence ({__version__}) knows {known}: upgrade Ringfence",
        code="invalid.backup",
    )


def is_safe_path(path: str) -> bool:
    """Whether a member may have this name: relative, no way up, short enough for a tar header."""
    parts = path.split("/")
    return bool(_PATH.fullmatch(path)) and len(path) <= LONGEST_PATH and not {".", ".."} & set(parts)


def _file(item: dict[str, Any]) -> File:
    file = File(str(item["section"]), str(item["path"]), int(item["size"]), str(item["sha256"]))
    if not is_safe_path(file.path) or file.size < 0:
        raise ValueError(f"{file.path!r} is no name of a member")
    return file
