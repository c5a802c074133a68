"""A list of a million entries, from the command that imports it to the edge that enforces it.

A whole node as an operator runs it (`ringfence up`), and its commands. Goals: under 20 s and under 1 GiB for mediation
and edge each; a file with three bad lines changes nothing and names them.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bench.report import Row, row  # noqa: E402
from tests.system.running_node import RunningNode, eventually  # noqa: E402

ENTRIES = 1_000_000
GOAL_S = 20.0
GOAL_MIB = 1024
BAD_LINES = {250_000: "2105550100", 500_000: "+1210555O100", 750_000: "+0441"}
POLICY = """
rules: [{name: bad, destinations: ["list:bad"], action: terminate}]
lists: {bad: {stored: true}}
"""


def measure(entries: int = ENTRIES) -> dict[str, Any]:
    """Seconds and peak memory of the import, of one more number, and what the bad file came to."""
    with tempfile.TemporaryDirectory(prefix="ringfence-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        numbers = [f"+1{number}" for number in random.Random(4).sample(range(2_010_000_000, 9_990_000_000), entries)]
        node = RunningNode(folder)
        node.start()
        try:
            return _measure_on(node, folder, numbers)
        finally:
            node.stop()


def _measure_on(node: RunningNode, folder: Path, numbers: list[str]) -> dict[str, Any]:
    node.cli("list", "create", "bad")
    policy = folder / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    node.cli("policy", "apply", str(policy))
    good = _written(folder / "good.csv", numbers)
    eventually(lambda: node.decide(numbers[-1]).find("allow") > 0, "the edge allows before")
    begun = time.monotonic()
    answer = json.loads(node.cli("list", "import", "bad", str(good), "--install", "--json"))
    told_s = time.monotonic() - begun
    eventually(lambda: node.decide(numbers[-1]).find("terminate") > 0, "the edge enforces it")
    enforced_s = time.monotonic() - begun
    assert answer["added"] == len(numbers), answer
    assert answer["devices_current"] == answer["devices_live"] == 1, answer
    result = {
        "entries": len(numbers),
        "command_s": told_s,
        "enforced_s": enforced_s,
        "mediation_mib": _peak_mib(node.pid("mediation")),
        "edge_mib": _peak_mib(node.pid("enum")),
    }
    return result | _one_more(node) | _bad_file(node, folder, numbers)


def _one_more(node: RunningNode) -> dict[str, Any]:
    """One number more on the big list, committed and enforced."""
    begun = time.monotonic()
    node.cli("list", "add", "bad", "+442079460000")
    node.cli("list", "commit", "bad", "--install")
    eventually(lambda: node.decide("+442079460000").find("terminate") > 0, "the edge enforces one more")
    return {"one_more_s": time.monotonic() - begun}


def _bad_file(node: RunningNode, folder: Path, numbers: list[str]) -> dict[str, Any]:
    lines = list(numbers)
    for line, text in BAD_LINES.items():
        lines[line * len(lines) // ENTRIES] = text
    bad = _written(folder / "bad.csv", lines)
    before = node.cli("list", "history", "bad", "--json"), node.cli("policy", "versions", "--json")
    begun = time.monotonic()
    node.cli("list", "import", "bad", str(bad), "--replace", "--install", status=2)
    refused_s = time.monotonic() - begun
    is_unchanged = before == (node.cli("list", "history", "bad", "--json"), node.cli("policy", "versions", "--json"))
    return {"bad_file_s": refused_s, "bad_file_changed_nothing": is_unchanged}


def _written(file: Path, numbers: list[str]) -> Path:
    with file.open("w", encoding="utf-8") as out:
        out.write("pattern,note,expires\n")
        out.writelines(f"{number},premium fraud {place % 97},\n" for place, number in enumerate(numbers))
    return file


def _peak_mib(pid: int) -> int:
    """Most memory that a process ever held in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    raise AssertionError(f"process {pid} does not tell its memory")


def rows(result: dict[str, Any]) -> list[Row]:
    """The table's rows."""
    enforced, more, refused = result["enforced_s"], result["one_more_s"], result["bad_file_s"]
    is_unchanged = result["bad_file_changed_nothing"]
    memory = max(result["mediation_mib"], result["edge_mib"])
    entries = f"import of {result['entries']:,} entries"
    within, size = f"< {GOAL_S:g} s", f"< {GOAL_MIB} MiB"
    return [
        row(f"{entries}: from command to enforced (s)", enforced, {}, within, enforced < GOAL_S),
        row(f"{entries}: memory of mediation or edge, the larger (MiB)", memory, {}, size, memory < GOAL_MIB),
        row("one more number on that list, enforced (s)", more, {}, within, more < GOAL_S),
        row("a file with three bad lines, refused in (s)", refused, {}, "changes nothing", is_unchanged),
    ]
