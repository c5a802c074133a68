"""Sections `edge:enum` and `edge:probe`: what an edge on this machine keeps, so that it can be put back whole (R20).

Policy, lists, dynamic entries and credential always; the journal where it is asked for. A journal is copied while it
grows: segments are only appended to, and a torn end is what its recovery is for. Put back, it is a folder that was
set back, which the journal notices by itself (docs/decisions/0002-journal-stage-and-streams.md). A probe's evidence
stays where it is (docs/decisions/0009-evidence-stays-on-the-probe.md).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ringfence.availability.archive import Source
from ringfence.availability.manifest import EDGE_PREFIX, is_safe_path
from ringfence.settings import Settings

KINDS = ("enum", "probe")
JOURNAL = "journal"
_NOT_KEPT = ("evidence.sqlite", "lock")


def edge_sections(settings: Settings) -> tuple[str, ...]:
    """The sections for which this node has an edge's folder."""
    return tuple(f"{EDGE_PREFIX}{kind}" for kind in KINDS if (settings.data / kind).is_dir())


def collect(settings: Settings, section: str, staging: Path, *, with_journal: bool) -> list[Source]:
    """Copy the edge's files below `staging` and name them; the copy, because they go on changing."""
    kind = section.removeprefix(EDGE_PREFIX)
    origin = settings.data / kind
    sources = []
    for file in sorted(origin.rglob("*")):
        name = file.relative_to(origin)
        is_left_out = name.parts[0].startswith(_NOT_KEPT) or (name.parts[0] == JOURNAL and not with_journal)
        if is_left_out or not file.is_file() or file.is_symlink() or not is_safe_path(f"edge/{kind}/{name}"):
            continue
        copy = staging / name
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copyfile(file, copy)
        except FileNotFoundError:  # replaced or dropped meanwhile
            continue
        sources.append(Source(section, f"edge/{kind}/{name}", copy))
    return sources


def put_back(settings: Settings, section: str, folder: Path) -> None:
    """Let `folder` be the edge's data folder: by two renames, the journal that is here stays unless one is brought.

    A crash between them leaves the old folder as `.enum.before`, from which the next call goes on.
    """
    kind = section.removeprefix(EDGE_PREFIX)
    target = settings.data / kind
    before = settings.data / f".{kind}.before"
    folder.chmod(0o700)
    if not before.exists() and target.exists():
        target.rename(before)
    for kept in (JOURNAL, "evidence.sqlite"):
        if (before / kept).exists() and not (folder / kept).exists():
            (before / kept).rename(folder / kept)
    if target.exists():
        shutil.rmtree(target)
    folder.rename(target)
    shutil.rmtree(before, ignore_errors=True)
