"""What the bench asks for and what each server is loaded with: one set of numbers in every server's own form.

Every server gives the same NAPTR for a number: `100 10 "u" "E2U+sip" "!^.*$!sip:+NUMBER@sbc.example!" .`, TTL 0.
Made once (deterministic), then kept in the work folder.
"""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

APEX = "e164.example"
ANSWER = "!^.*$!sip:+{}@sbc.example!"
SERVICE = "E2U+sip"
SOURCE_OPTION = 4
RULES = 200
NAPTR, OPT, IN = 35, 41, 1
FORMAT = 3  # of the files below; another value makes them anew


@dataclass(frozen=True)
class Data:
    """Paths of the generated files."""

    folder: Path
    entries: int

    @property
    def numbers(self) -> Path:
        """One E.164 number a line, without `+`."""
        return self.folder / "numbers.txt"

    @property
    def zone(self) -> Path:
        """Master file for NSD and Knot."""
        return self.folder / "e164.example.zone"

    @property
    def cdb(self) -> Path:
        """Wire name → NAPTR data, for dnsdist."""
        return self.folder / "numbers.cdb"

    @property
    def queries(self) -> Path:
        """DNS messages, each after its length: as an SBC asks, with the source in EDNS0 option 4."""
        return self.folder / "queries.bin"

    def policy(self, version: int) -> Path:
        """Policy document of ours (docs/contracts.md 4)."""
        return self.folder / f"policy-{version}.json"

    def load_numbers(self) -> list[str]:
        """The numbers, in the order of the file."""
        return self.numbers.read_text().split()


def prepare(folder: Path, entries: int) -> Data:
    """Generate what is missing in `folder`."""
    data = Data(folder / f"{entries}-v{FORMAT}", entries)
    done = data.folder / "done"
    if not done.exists():
        shutil.rmtree(data.folder, ignore_errors=True)
        data.folder.mkdir(parents=True)
        numbers = make_numbers(entries)
        data.numbers.write_text("".join(f"{number}\n" for number in numbers))
        data.zone.write_text("".join(zone_lines(numbers)))
        data.queries.write_bytes(b"".join(queries(numbers)))
        for version in (1, 2):
            data.policy(version).write_bytes(policy_document(numbers, version))
        if shutil.which("cdb"):
            write_cdb(data.cdb, numbers)
        done.touch()
    return data


def make_numbers(entries: int) -> list[str]:
    """Half in blocks of a thousand (direct dialling of trunk customers), half single (mobile, ported numbers)."""
    chance = random.Random(1)
    areas = ["1210", "1212", "1305", "1415", "1512", "1713", "4420", "44161", "4930", "4989"]
    found: set[str] = set()
    while len(found) < entries // 2:
        block = chance.choice(areas) + str(chance.randint(2000, 9999))
        found.update(f"{block}{last:03d}" for last in range(1000))
    mobiles = [("1917", 7), ("1404", 7), ("4477", 8), ("49151", 8), ("336", 8), ("614", 8)]
    while len(found) < entries:
        prefix, length = chance.choice(mobiles)
        found.add(prefix + str(chance.randint(2 * 10 ** (length - 1), 10**length - 1)))
    numbers = sorted(found)
    chance.shuffle(numbers)
    return numbers[:entries]


def owner(number: str) -> str:
    """ENUM name of a number, without the final dot."""
    return ".".join(reversed(number)) + "." + APEX


def zone_lines(numbers: list[str]) -> Iterator[str]:
    """Master file with one NAPTR a number."""
    yield f"$ORIGIN {APEX}.\n$TTL 0\n"
    yield f"@ 3600 IN SOA ns1.{APEX}. hostmaster.{APEX}. 1 3600 600 604800 60\n"
    yield f"@ 3600 IN NS ns1.{APEX}.\nns1 3600 IN A 127.0.0.1\n"
    for number in numbers:
        yield f'{".".join(reversed(number))} 0 IN NAPTR 100 10 "u" "{SERVICE}" "{ANSWER.format(number)}" .\n'


def wire_name(number: str) -> bytes:
    """Wire form of the ENUM name."""
    return b"".join(b"\1" + digit.encode() for digit in reversed(number)) + b"\4e164\7example\0"


def queries(numbers: list[str]) -> Iterator[bytes]:
    """Every number once, each from one of a thousand sources."""
    for index, number in enumerate(numbers):
        source = f"sip:+1300555{index % 1000:04d}@203.0.113.10".encode()
        option = struct.pack(">HH", SOURCE_OPTION, len(source)) + source
        record = b"\0" + struct.pack(">HHIH", OPT, 1232, 0, len(option)) + option
        header = struct.pack(">6H", 0, 0x0100, 1, 0, 0, 1)
        message = header + wire_name(number) + struct.pack(">HH", NAPTR, IN) + record
        yield struct.pack(">H", len(message)) + message


def write_cdb(file: Path, numbers: list[str]) -> None:
    """Key: wire name; value: NAPTR data, sent by dnsdist as it stands."""
    process = subprocess.Popen(["cdb", "-c", "-t", f"{file}.new", str(file)], stdin=subprocess.PIPE)
    assert process.stdin is not None
    with process.stdin as records:
        for number in numbers:
            regexp = ANSWER.format(number).encode()
            key = wire_name(number)
            value = b"\0\x64\0\x0a\1u\7" + SERVICE.encode() + bytes([len(regexp)]) + regexp + b"\0"
            records.write(b"+%d,%d:%s->%s\n" % (len(key), len(value), key, value))
        records.write(b"\n")
    if process.wait() != 0:
        raise RuntimeError("cdb could not write its file")


def policy_document(numbers: list[str], version: int) -> bytes:
    """Policy with RULES rules, of which the last lists every number; `version` 2 has every entry of 1 but another rule.

    The rules before it are of the kinds a site has: prefixes, ranges, wildcards, blocked sources, lists, directions,
    monitored ones. None of them decides a query of the bench, all of them could.
    """
    rules = [_rule(index, version) for index in range(1, RULES)]
    rules.append(
        {"id": RULES, "name": "listed", "mode": "enforce", "direction": "any", "sources": [],
         "destinations": ["list:listed"], "action": "allow", "target": None, "schedule": None, "rate": None}
    )  # fmt: skip
    document = {
        "format": 1,
        "version": version,
        "site": {
            "country": "US", "country_code": "1", "national_prefix": "1", "international_prefixes": ["011"],
            "national_lengths": [10], "local_prefix": "", "local_lengths": [], "extension_lengths": [],
            "own_ranges": ["+12105550000-+12105559999"],
        },
        "protected": ["911", "112", "988"],
        "answers": {
            "allow": "!^.*$!sip:{destination}@sbc.example!", "terminate": "!^(.*)$!sip:\\1@terminate.{host}!",
            "redirect": "!^.*$!sip:{target}@redirect.{host}!", "service": SERVICE, "host": None,
        },
        "lists": {
            "listed": {"entries": [f"+{number}" for number in numbers]},
            "callers": {"entries": [f"+1900444{n:04d}" for n in range(1000)]},
        },
        "schedules": {},
        "rules": rules,
    }  # fmt: skip
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def add_dynamic_list(policy: bytes, entries: int) -> tuple[bytes, bytes]:
    """The policy with two more rules by a dynamic list in front, and the list's entries: none decides a query."""
    document = json.loads(policy)
    document["lists"]["attackers"] = {"dynamic": True}
    for place, side in enumerate(("sources", "destinations")):
        rule = _rule(0, 1) | {"id": RULES + 1 + place, "name": f"attackers-{side}", "sources": [], "destinations": []}
        document["rules"].insert(place, rule | {"direction": "any", "mode": "enforce", side: ["list:attackers"]})
    listed: dict[str, int | None] = {f"+1900{n:07d}": None if n % 2 else 4_000_000_000_000_000 for n in range(entries)}
    return json.dumps(document).encode(), json.dumps(
        {"format": 1, "change": 1, "lists": {"attackers": listed}}
    ).encode()


def _rule(index: int, version: int) -> dict[str, object]:
    base = f"+88{index:03d}{version}"
    sources: list[str] = []
    destinations: list[str] = []
    match index % 6:
        case 0:
            destinations = [f"{base}*"]
        case 1:
            destinations = [f"{base}000000-{base}999999"]
        case 2:
            destinations = [f"{base}55????"]
        case 3:
            sources = [f"{base}*"]
        case 4:
            sources, destinations = ["list:callers"], [f"{base}*", f"{base[:-1]}9*"]
        case _:
            sources, destinations = ["class:anonymous"], ["+1900*"]
    return {
        "id": index, "name": f"rule-{index}", "mode": "monitor" if index % 10 == 0 else "enforce",
        "direction": ("any", "inbound", "outbound")[index % 3], "sources": sources, "destinations": destinations,
        "action": "redirect" if index % 7 == 0 else "terminate", "target": "+12105550199" if index % 7 == 0 else None,
        "schedule": None, "rate": None,
    }  # fmt: skip
