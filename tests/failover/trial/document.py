"""The commands of docs/operations/availability.md, which the trial runs as they stand there.

`COMMANDS` names those that are run, `NOT_RUN` those that are not, and why. `tests/failover/test_trial.py` holds both to
the page: a command that is changed there, or new, is one that the trial must know.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations" / "availability.md"

# name → (the heading that it stands under, how it begins there; with `$`: the whole of it)
COMMANDS = {
    "backup": ("Backups", "ringfence backup$"),
    "list backups": ("Backups", "ringfence backup list"),
    "verify backups": ("Backups", "ringfence backup verify"),
    "log of backups": ("Backups", "ringfence backup log"),
    "make a key": ("Backups", "sudo ringfence backup key"),
    "own the key": ("Backups", "sudo chown"),
    "dry run of a restore": ("Restore", "ringfence restore --dry-run"),
    "restore a part": ("Restore", "ringfence restore --select"),
    "make a token": ("Backup mode", "ringfence token add"),
    "ask for the fingerprint": ("Backup mode", "ringfence status"),
    "follow by backups": ("Backup mode", "ringfence standby init https"),
    "follow by rsync": ("Backup mode", "ringfence standby init ringfence@"),
    "first copy": ("Backup mode", "ringfence standby sync"),
    "run the standby": ("Backup mode", "ringfence up"),
    "let the account in": ("ssh between the nodes", "sudo usermod"),
    "make its key": ("ssh between the nodes", "sudo ssh-keygen -q"),
    "give it its key": ("ssh between the nodes", "sudo chown"),
    "tell sshd of keys": ("ssh between the nodes", "sudo tee /etc/ssh/sshd_config.d"),
    "let the key in": ("ssh between the nodes", "echo 'restrict"),
    "know the other's host": ("ssh between the nodes", "ssh-keyscan"),
    "try ssh": ("ssh between the nodes", "sudo runuser"),
    "follow by streaming": ("Streaming mode", "ringfence standby init"),
    "run the streaming standby": ("Streaming mode", "ringfence up"),
    "how it stands": ("How it stands", "ringfence standby status"),
    "look first": ("Failover", "ringfence failover --dry-run"),
    "fail over": ("Failover", "ringfence failover$"),
    "old pair follows": ("The old pair, afterwards", "ringfence standby init"),
    "run the old pair": ("The old pair, afterwards", "ringfence up"),
    "fail back": ("The old pair, afterwards", "ringfence failback"),
}
NOT_RUN = {
    ("Backups", "cp deploy/backup"): "a timer is systemd's, which does not run here (tests/package tries it)",
    ("Backups", "systemctl enable"): "as above",
    ("Restore", "systemctl stop"): "no systemd: the node is stopped by a signal",
    ("Restore", "ringfence restore 20261128T0230"): "another id than here; the same command as with --select",
    ("ssh between the nodes", "sudo systemctl reload"): "no systemd: sshd is started after it was configured",
}


@dataclass(frozen=True)
class Command:
    """One command of the page, without its comment."""

    section: str
    text: str


def commands(text: str | None = None) -> list[Command]:
    """Every command in the page's shell blocks, in order; one with a here-document is one command."""
    page = DOCUMENT.read_text(encoding="utf-8") if text is None else text
    found: list[Command] = []
    section = ""
    block: list[str] | None = None
    for line in page.splitlines():
        if heading := re.match(r"#+ (.+)", line) if block is None else None:
            section = heading[1]
        elif line == "```sh":
            block = []
        elif line == "```" and block is not None:
            found += [Command(section, command) for command in _commands_of(block)]
            block = None
        elif block is not None:
            block.append(line)
    return found


def command(name: str) -> str:
    """One of `COMMANDS`, word for word. LookupError unless the page has it exactly once."""
    section, begins = COMMANDS[name]
    texts = [one.text for one in commands() if one.section == section and matches(one.text, begins)]
    if len(texts) != 1:
        raise LookupError(f"{DOCUMENT.name}, {section}: `{begins}` stands there {len(texts)} times, not once")
    return texts[0]


def matches(text: str, begins: str) -> bool:
    """Whether a command begins so, or with `$` at the end is just that."""
    return text == begins[:-1] if begins.endswith("$") else text.startswith(begins)


def settings_of(section: str) -> dict[str, Any]:
    """What the section's settings block says."""
    page = DOCUMENT.read_text(encoding="utf-8").split(f"## {section}\n", 1)[1]
    block = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert block is not None
    return tomllib.loads(block[1])


def _commands_of(block: list[str]) -> Iterator[str]:
    lines = iter(block)
    for line in lines:
        text = re.sub(r"\s+#\s.*$", "", line).strip()
        if not text or text.startswith("#"):
            continue
        if here := re.search(r"<<'(\w+)'", text):
            rest = [text]
            for more in lines:
                rest.append(more)
                if more == here[1]:
                    break
            text = "\n".join(rest)
        yield text
