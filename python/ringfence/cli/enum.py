"""`ringfence enum`: the DNS ENUM server with its edge agent, in the foreground.

The data plane starts first, with the policy on the disk, and stops last; the agent may fail or be alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer

from ringfence.availability.highest_term import HighestTerm
from ringfence.cli.enrol import enrol_enum
from ringfence.cli.options import ConfigOption, DataOption, settings_from
from ringfence.edge.agent import Agent
from ringfence.edge.dynamic_entries import EntriesFollower, EntrySet, stored_entries
from ringfence.edge.enrolment import read_identity
from ringfence.edge.health import AnswersOrMoves
from ringfence.edge.hep import Endpoint
from ringfence.edge.hep_out import HepOut
from ringfence.edge.policy_reset import PolicyReset
from ringfence.edge.policy_store import PolicyStore, StoredPolicy
from ringfence.errors import ConfigurationError, UnavailableError
from ringfence.log import configure_logging, log_file
from ringfence.node.facts import ProcessFacts
from ringfence.service.notify import Notifier, Watchdog
from ringfence.settings import Settings
from ringfence.vocabulary import Dataset

if TYPE_CHECKING:
    from ringfence._native import EnumServer

log = structlog.get_logger()


def register(app: typer.Typer) -> None:
    """Add the command, which runs the server where none below it is named."""
    group = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
    group.callback()(enum)
    group.command("enrol")(enrol_enum)
    app.add_typer(group, name="enum")


def enum(
    context: typer.Context,
    config: ConfigOption = None,
    data: DataOption = None,
    listen: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS:PORT", help="Repeatable.", show_default="127.0.0.1:1053")
    ] = None,
    mediation: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="https://HOST:PORT or unix:/PATH, in order; repeatable.", show_default=False),
    ] = None,
    credential_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The device's credential.", show_default=False)
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Data-plane threads.", show_default="1")] = None,
) -> None:
    """Answer ENUM queries until stopped. Works without a mediation, with the last policy it had."""
    if context.invoked_subcommand is not None:
        return
    settings = settings_from(
        config,
        data,
        enum__listen=listen or None,
        edge__mediation=mediation or None,
        edge__credential_file=credential_file,
        enum__workers=workers,
    )
    configure_logging(settings.log, log_file(settings, "enum"))
    serve(settings)


def serve(settings: Settings) -> None:
    """Start the data plane, then the agent; return when SIGTERM or SIGINT came and everything is flushed."""
    folder = settings.data / "enum"
    identity = read_identity(settings, folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = PolicyStore(folder / "policy")
    entries_store = PolicyStore(folder / "entries", "entries")
    held = stored_entries(entries_store)
    server, running = start_data_plane(json.dumps(server_configuration(settings)), store, held)
    address_file = settings.data / "run" / "enum.json"
    notifier = Notifier.take()
    watchdog = Watchdog(notifier, AnswersOrMoves(server, settings.enum.apex[0]).is_well)
    try:
        entries = EntriesFollower(server, entries_store)
        if held is not None:
            entries.resume(held)
        agent = Agent(
            server,
            server.journal(),
            store,
            running,
            settings.edge,
            identity,
            apex=settings.enum.apex[0],
            entries=entries,
            highest=HighestTerm(folder / "term.json"),
        )
        agent.heartbeat.facts = ProcessFacts(settings.data).read
        reset = PolicyReset(
            address_file.parent,
            agent.follower,
            has_mediation=bool(identity.addresses and identity.has_proof),
            fail_mode=settings.enum.fail_mode,
        )
        agent.add_part("policy_reset", reset.run)
        if settings.edge.hep_out.to is not None:
            hep_out = HepOut(server.journal(), settings.edge.hep_out, Dataset.ENUM, lambda: _endpoint(server))
            agent.hep_out = hep_out
            agent.add_part("hep_out", hep_out.run)
        watchdog.start()
        asyncio.run(_run(agent, server, address_file, notifier))
    finally:
        notifier.stopping()
        watchdog.stop()
        server.stop()
        address_file.unlink(missing_ok=True)
        log.info("enum.stopped")


def start_data_plane(
    configuration: str, store: PolicyStore, entries: EntrySet | None = None
) -> tuple[EnumServer, StoredPolicy | None]:
    """Answer with the last good policy and its dynamic entries from the first query on.

    Without a policy, or with one that is refused, as the fail mode says. ConfigurationError; UnavailableError when an
    address or the journal cannot be had.
    """
    from ringfence._native import EnumServer, PolicyError  # only here: other commands do without the data plane

    stored = store.load()
    contents: dict[str, bytes] = {}
    if stored is not None:
        contents, missing = _contents(store, stored)
        if missing:
            # Never a policy without its lists: the mediation sends the document again, and what is missing.
            log.error("policy.incomplete", version=stored.version, missing=missing)
            stored = None
    listed = entries.document() if entries is not None else None
    try:
        try:
            server = EnumServer(configuration, stored.document if stored else None, listed, contents)
        except PolicyError as error:
            # Compiled by an older program, perhaps: the mediation sends it again. Nothing was bound yet.
            store.set_aside(f"does not compile: {error}")
            return EnumServer(configuration, None, listed), None
    except ValueError as error:
        raise ConfigurationError(f"enum: {error}") from None
    except OSError as error:
        raise UnavailableError(f"ENUM server cannot start: {error}") from None
    if stored is not None:
        log.info("policy.installed", version=stored.version, origin="disk")
    return server, stored


def _contents(store: PolicyStore, stored: StoredPolicy) -> tuple[dict[str, bytes], list[str]]:
    try:
        return store.contents.load_for(stored.document)
    except ValueError:
        return {}, []  # the compiler says why


def server_configuration(settings: Settings) -> dict[str, Any]:
    """`EnumServer`'s configuration (docs/contracts.md 5)."""
    enum_settings, journal = settings.enum, settings.enum.journal
    return {
        "listen": enum_settings.listen,
        "apex": enum_settings.apex,
        "workers": enum_settings.workers,
        "source_option_codes": enum_settings.source_option_codes,
        "query_names": enum_settings.query_names,
        "fail_mode": enum_settings.fail_mode,
        "allow_from": enum_settings.allow_from,
        "client_limit_qps": enum_settings.client_limit_qps,
        "cookie_secret": enum_settings.cookie_secret,
        "receive_buffer_bytes": enum_settings.receive_buffer_bytes,
        "journal": {
            "folder": str(settings.data / "enum" / "journal"),
            "segment_bytes": journal.segment_bytes,
            "max_bytes": journal.max_bytes,
            "keep_hours": journal.keep_hours,
            "sync_ms": journal.sync_ms,
            "stage": str(journal.stage) if journal.stage is not None else None,
            "stage_bytes": journal.stage_bytes,
        },
    }


def _endpoint(server: EnumServer) -> Endpoint:
    """Where queries are sent, as the copies for a HEP collector say it."""
    host, _, port = server.addresses[0].rpartition(":")
    return ip_address(host.strip("[]")), int(port)


async def _run(agent: Agent, server: EnumServer, address_file: Path, notifier: Notifier) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    def ready(metrics: str) -> None:
        addresses = server.addresses
        _write_addresses(address_file, {"pid": os.getpid(), "listen": addresses, "metrics": metrics})
        notifier.ready(f"answers on {', '.join(addresses)}")
        typer.echo(f"ENUM server answers on {', '.join(addresses)}; metrics on http://{metrics}/metrics")
        log.info("enum.started", listen=addresses, metrics=metrics, policy_version=server.policy_version)

    running = asyncio.create_task(agent.run(ready))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait((running, stop), return_when=asyncio.FIRST_COMPLETED)
    if not stop.done():
        # Only a failure to start (its port is taken) ends the agent: that is fatal and named.
        stop.cancel()
        await _end(running)
        return
    # The sockets close at once, so that the SBC turns to another server; then the journal is flushed.
    await asyncio.to_thread(server.stop)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def _end(running: asyncio.Task[None]) -> None:
    try:
        await running
    except OSError as error:
        raise UnavailableError(f"edge metrics cannot listen: {error}") from None


def _write_addresses(file: Path, addresses: dict[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(addresses), encoding="utf-8")
    fresh.replace(file)
