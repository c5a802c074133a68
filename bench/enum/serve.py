"""Our ENUM server in a process of its own, as a node runs it, obeying one-word commands on standard input.

Prints one JSON object when it is ready and one for each command:
`install FILE`, `entries FILE` (of dynamic lists),
`acknowledge` (frees the journal, as the mediation does), `counters`, `footprint FILE`, `stop`.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ringfence._native import EnumServer, Policy


def resident_bytes() -> int:
    """Resident memory of this process, after freed memory went back to the kernel."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def footprint(file: Path) -> dict[str, Any]:
    """Time to compile a policy and the memory it takes."""
    document = file.read_bytes()
    before = resident_bytes()
    started = time.perf_counter()
    policy = Policy(document)
    compile_s = time.perf_counter() - started
    taken = resident_bytes() - before
    return {"version": policy.version, "compile_s": compile_s, "bytes": taken}


def install(server: EnumServer, file: Path) -> dict[str, Any]:
    """Compile and switch."""
    document = file.read_bytes()
    started = time.perf_counter()
    server.install(document)
    return {"took_s": time.perf_counter() - started, "version": server.policy_version}


def acknowledge(server: EnumServer) -> dict[str, Any]:
    """Wait until everything counted is durable, then free it; says how many events the journal has had in all."""
    journal = server.journal()
    answered = int(json.loads(server.counters())["answers"])
    deadline = time.monotonic() + 10
    while (durable := sum(last for _, _, last, _ in journal.streams())) < answered and time.monotonic() < deadline:
        journal.wait(100)
    for stream, _first, last, _acknowledged in journal.streams():
        journal.acknowledge(stream, last)
    return {"answers": answered, "durable": durable}


def main() -> None:
    """Serve until `stop` or the end of input."""
    server = EnumServer(Path(sys.argv[1]).read_text())
    reply: dict[str, Any] = {"addresses": server.addresses}
    print(json.dumps(reply), flush=True)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        match command:
            case "install":
                reply = install(server, Path(argument))
            case "entries":
                server.install_entries(Path(argument).read_bytes())
                reply = {"change": server.entries_change}
            case "acknowledge":
                reply = acknowledge(server)
            case "counters":
                reply = json.loads(server.counters())
            case "footprint":
                reply = footprint(Path(argument))
            case "stop":
                break
            case _:
                reply = {"error": f"unknown command {command}"}
        print(json.dumps(reply), flush=True)
    server.stop()


if __name__ == "__main__":
    main()
