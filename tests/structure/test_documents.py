"""Every path, command, flag and make target that a document names exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from ringfence.cli.main import build

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
MADE_AT_RUN_TIME = (".venv", "build/", "target/", "ringfence-data")


@pytest.fixture(scope="module")
def commands() -> TyperGroup:
    group = typer.main.get_command(build())
    assert isinstance(group, TyperGroup)
    return group


def identify(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify)
def test_paths_in_code_spans_exist(document: Path) -> None:
    roots = ("crates/", "python/", "tests/", "bench/", "docs/", "deploy/", ".ci/", "requirements/")
    for span in re.findall(r"`([^`\n]+)`", document.read_text(encoding="utf-8")):
        path = span.split()[0].rstrip(".,:;")
        if path.startswith(roots) and not re.search(r"[<>*{}…]|NNNN", path):
            assert (ROOT / path).exists(), f"{document.name} names {path}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify)
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE):
        if target not in {"bench-", "x"}:
            assert target in targets, f"{document.name} names `make {target}`"


def named_commands(text: str) -> list[list[str]]:
    """Words of every `ringfence …` in code spans and fenced blocks."""
    found = re.findall(r"`(?:\.venv/bin/)?ringfence ([^`\n]+)`", text)
    for block in re.findall(r"```(?:sh|shell|console|bash)\n(.*?)```", text, re.DOTALL):
        found += re.findall(r"^\s*\$?\s*(?:sudo )?(?:\.venv/bin/)?ringfence ([^\n#|]+)", block, re.MULTILINE)
    return [command.split() for command in found]


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify)
def test_commands_and_flags_exist(document: Path, commands: TyperGroup) -> None:
    for words in named_commands(document.read_text(encoding="utf-8")):
        command: Any = commands
        position = 0
        while isinstance(command, TyperGroup) and position < len(words):
            options = words[position].split("|")
            if words[position].startswith("-") or not re.fullmatch(r"[a-z|-]+", words[position]):
                break
            for option in options:
                assert option in command.commands, f"{document.name}: `ringfence {' '.join(words)}`"
            command = command.commands[options[0]]
            position += 1
        known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        flags = re.findall(r"(?<![\w-])--[a-z][a-z-]*", " ".join(words[position:]))
        assert set(flags) <= known, f"{document.name}: `ringfence {' '.join(words)}`"
