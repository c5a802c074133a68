"""`ringfence probe run`: the passive probe with its edge agent, in the foreground.

The data plane starts first and stops last; the agent may fail or be alone: calls go to the journal all the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer

from ringfence.availability.highest_term import HighestTerm
from ringfence.cli.options import ConfigOption, DataOption, settings_from
from ringfence.edge.enrolment import read_identity
from ringfence.edge.evidence import Evidence
from ringfence.edge.evidence_answers import EvidenceAnswers
from ringfence.edge.hep_out import HepOut
from ringfence.edge.probe_agent import ProbeAgent
from ringfence.errors import ConfigurationError, UnavailableError
from ringfence.log import configure_logging, log_file
from ringfence.node.facts import ProcessFacts
from ringfence.service.notify import Notifier
from ringfence.settings import Settings
from ringfence.vocabulary import Dataset

if TYPE_CHECKING:
    from ringfence._native import Probe

_ALIVE_S = 5.0
log = structlog.get_logger()


def run(
    config: ConfigOption = None,
    data: DataOption = None,
    interface: Annotated[
        list[str] | None, typer.Option("--interface", "-i", metavar="IF", help="Repeatable.", show_default=False)
    ] = None,
    hep_listen: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS:PORT", help="Take HEP; repeatable.", show_default=False)
    ] = None,
    mediation: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="https://HOST:PORT or unix:/PATH, in order; repeatable.", show_default=False),
    ] = None,
    credential_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The device's credential.", show_default=False)
    ] = None,
) -> None:
    """See calls until stopped. Works without a mediation: the journal keeps what it cannot send."""
    settings = settings_from(
        config,
        data,
        probe__interfaces=interface or None,
        probe__hep_listen=hep_listen or None,
        edge__mediation=mediation or None,
        edge__credential_file=credential_file,
    )
    configure_logging(settings.log, log_file(settings, "probe"))
    serve(settings)


def serve(settings: Settings) -> None:
    """Start the data plane, then the agent; return when SIGTERM or SIGINT came and everything is flushed."""
    if not (settings.probe.interfaces or settings.probe.hep_listen):
        raise ConfigurationError("probe: has nothing to read; name an interface (-i) or a HEP listener (--hep-listen)")
    folder = settings.data / "probe"
    identity = read_identity(settings, folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    probe = start_probe(settings)
    address_file = settings.data / "run" / "probe.json"
    notifier = Notifier.take()
    try:
        highest = HighestTerm(folder / "term.json")
        kept = settings.probe.evidence
        file = folder / "evidence.sqlite"
        evidence = Evidence(file, kept) if kept.enabled else None
        answers = EvidenceAnswers(file, evidence)
        agent = ProbeAgent(probe, probe.journal(), settings.edge, identity, highest, settings.probe.interfaces, answers)
        agent.heartbeat.facts = ProcessFacts(settings.data).read
        if evidence is not None:
            agent.add_part("evidence", lambda: evidence.keep(probe.take_ladders))
        if settings.edge.hep_out.to is not None:
            agent.hep_out = HepOut(probe.journal(), settings.edge.hep_out, Dataset.SIP)
            agent.add_part("hep_out", agent.hep_out.run)
        live = LiveTable(probe, settings.data / "run" / "probe-calls.json")
        agent.add_part("live_table", live.run)
        agent.add_part("watchdog", lambda: _tell_alive(probe, notifier))
        asyncio.run(_run(agent, probe, settings, address_file, notifier))
    finally:
        notifier.stopping()
        probe.stop()
        address_file.unlink(missing_ok=True)
        (settings.data / "run" / "probe-calls.json").unlink(missing_ok=True)
        log.info("probe.stopped")


class LiveTable:
    """Writes the calls in progress beside the process' address, for `ringfence probe calls` on the same machine."""

    def __init__(self, probe: Probe, file: Path) -> None:
        self._probe = probe
        self._file = file

    async def run(self) -> None:
        """Each second while anybody looks: the one who looks touches `<file>.wanted`."""
        wanted = self._file.with_suffix(".wanted")
        while True:
            if wanted.exists():
                wanted.unlink(missing_ok=True)
                text = await asyncio.to_thread(self._probe.calls, LIVE_CALLS)
                await asyncio.to_thread(_write, self._file, text)
            await asyncio.sleep(0.2)


LIVE_CALLS = 1000


def start_probe(settings: Settings) -> Probe:
    """Open every source. ConfigurationError; UnavailableError when a source or the journal cannot be had."""
    from ringfence._native import Probe  # only here: other commands do without the data plane

    try:
        return Probe(json.dumps(probe_configuration(settings)))
    except ValueError as error:
        raise ConfigurationError(f"probe: {error}") from None
    except OSError as error:
        raise UnavailableError(f"probe cannot start: {error}") from None


def probe_configuration(settings: Settings) -> dict[str, Any]:
    """`Probe`'s configuration (docs/contracts.md 7)."""
    probe, journal = settings.probe, settings.probe.journal
    return {
        "live": {
            "engine": {"calls": probe.max_calls},
            "interfaces": [
                {
                    "interface": name,
                    "ring_bytes": probe.ring_bytes,
                    "threads": probe.workers,
                    "filter": probe.filter,
                    "promiscuous": probe.promiscuous,
                }
                for name in probe.interfaces
            ],
            "hep": [
                {"listen": address, "key": probe.hep_key, "allow_from": probe.hep_allow_from}
                for address in probe.hep_listen
            ],
        },
        "trunk_networks": probe.trunk_networks,
        "call_octets": probe.evidence.call_bytes if probe.evidence.enabled else None,
        "journal": {
            "folder": str(settings.data / "probe" / "journal"),
            "segment_bytes": journal.segment_bytes,
            "max_bytes": journal.max_bytes,
            "keep_hours": journal.keep_hours,
            "sync_ms": journal.sync_ms,
            "stage": str(journal.stage) if journal.stage is not None else None,
            "stage_bytes": journal.stage_bytes,
        },
    }


async def _tell_alive(probe: Probe, notifier: Notifier) -> None:
    """For the manager's watchdog: the agent turns and the data plane tells its counters."""
    while True:
        await asyncio.to_thread(probe.counters)
        notifier.alive()
        await asyncio.sleep(_ALIVE_S)


async def _run(agent: ProbeAgent, probe: Probe, settings: Settings, address_file: Path, notifier: Notifier) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    def ready(metrics: str) -> None:
        sources = [*settings.probe.interfaces, *(f"HEP {address}" for address in probe.addresses)]
        told = {"pid": os.getpid(), "hep": probe.addresses, "interfaces": list(settings.probe.interfaces)}
        _write(address_file, json.dumps(told | {"metrics": metrics}))
        notifier.ready(f"reads {', '.join(sources)}")
        typer.echo(f"probe reads {', '.join(sources)}; metrics on http://{metrics}/metrics")
        log.info("probe.started", sources=sources, metrics=metrics)

    running = asyncio.create_task(agent.run(ready))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait((running, stop), return_when=asyncio.FIRST_COMPLETED)
    if not stop.done():
        stop.cancel()
        try:
            await running
        except OSError as error:
            raise UnavailableError(f"edge metrics cannot listen: {error}") from None
        return
    await asyncio.to_thread(probe.stop)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    fresh.replace(file)
