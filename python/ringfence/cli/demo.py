"""`ringfence demo`: attacks and ordinary calls played on this machine's own node, to see what it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.cli.bar import shown_progress
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.demo.enum_line import EnumLine
from ringfence.demo.limits import loopback_address, pace_of, traffic
from ringfence.demo.outcome import ACTIONS, Outcome
from ringfence.demo.player import Lines, play
from ringfence.demo.sip_line import SipLine
from ringfence.detection.attacks.call import Scene
from ringfence.detection.attacks.kinds import KINDS, Kind, kind_of
from ringfence.errors import InvalidInputError, UnavailableError
from ringfence.settings import Settings

group = typer.Typer(no_args_is_help=True, help="Labelled attacks, played on this machine's own node.")
_WORDS = {"allow": "allowed", "terminate": "terminated", "redirect": "redirected", "proceed": "no opinion",
          "no_answer": "no answer"}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="demo")


@group.command("list")
def list_kinds(as_json: JsonOption = False) -> None:
    """Every attack there is, and how it is played unless told otherwise."""
    if as_json:
        print_json([_kind_json(kind) for kind in KINDS])
        return
    print_table(
        ("attack", "calls/s", "seconds", "seen by", "what it is"),
        [
            (kind.name, kind.trial.calls_per_second, kind.trial.seconds, kind.sees, kind.words)
            for kind in KINDS
        ],
    )  # fmt: skip


@group.command("attack")
def attack(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What to play (`demo list`).")],
    calls_per_second: Annotated[
        float | None, typer.Option(help="Calls of the attack a second.", show_default="the kind's")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="For how long.", show_default="the kind's")] = None,
    ordinary: Annotated[float, typer.Option(metavar="RATE", help="Ordinary calls a second among them.")] = 0.0,
    to: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS:PORT", help="ENUM server on this machine.", show_default="of the data folder"),
    ] = None,
    hep: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS:PORT",
            help="HEP listener of a probe on this machine: it sees the calls' SIP.",
            show_default="of the data folder, where a probe is needed",
        ),
    ] = None,
    exchange: Annotated[
        str, typer.Option(help="The site's own numbers without their last four digits.")
    ] = Scene.exchange,
    seed: Annotated[int, typer.Option(help="Another seed, another traffic of the same kind.")] = 1,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Ask the ENUM server about the attack's calls in real time, as an SBC would, and say what came back."""
    settings = settings_from(config, data)
    chosen = kind_of(kind)
    pace = pace_of(chosen, calls_per_second, seconds)
    hep = hep or (_own_hep(settings) if chosen.sees == "sip" else None)
    if chosen.sees == "sip" and hep is None:
        raise InvalidInputError(
            f"--hep: is missing; {chosen.name} shows only in the calls' SIP, which a probe must see"
        )
    scene = Scene(exchange=_exchange(exchange))
    enum = EnumLine(loopback_address(to or _own_enum(settings), "--to"), settings.enum.apex[0])
    sip = SipLine(loopback_address(hep, "--hep"), settings.probe.hep_key) if hep else None
    try:
        with shown_progress(chosen.name) as report:
            outcome = play(
                traffic(chosen, scene, pace, ordinary, seed),
                Lines(enum, sip),
                lambda now_s, so_far: report(int(now_s * 1000), int(pace.seconds * 1000), _phase(so_far)),
            )
    finally:
        enum.close()
        if sip is not None:
            sip.close()
    _tell(chosen, outcome, as_json)
    if outcome.sent and not outcome.took_ms:
        raise UnavailableError("no answer from the ENUM server: does it run (`ringfence status`), and there (--to)?")


def _tell(kind: Kind, outcome: Outcome, as_json: bool) -> None:
    found = outcome.as_json()
    if as_json:
        print_json({"attack_kind": kind.name, **found})
        return
    shown = [action for action in ACTIONS if any(action in counts for counts in outcome.by_second.values())]
    print_table(
        ("second", *(_WORDS[action] for action in shown)),
        [(second, *(counts[action] for action in shown)) for second, counts in sorted(outcome.by_second.items())],
    )
    sip = f", {outcome.sip_messages} SIP messages" if outcome.sip_messages else ""
    print_line(f"{kind.name}: {outcome.sent} calls asked about{sip}; {_sum(outcome.attack)}")
    if outcome.ordinary:
        print_line(f"Ordinary calls: {_sum(outcome.ordinary)}")
    if outcome.first_refused_s is None:
        print_line("No call was refused: deploy a detection with contain (`ringfence detection`) to stop this.")
    else:
        print_line(f"First refused call: {outcome.first_refused_s:.2f} s after the first call", "bold")


def _sum(counts: Any) -> str:
    return ", ".join(f"{counts[action]} {_WORDS[action]}" for action in ACTIONS if counts[action]) or "none"


def _phase(outcome: Outcome) -> str:
    refused = sum(counts["terminate"] + counts["redirect"] for counts in outcome.by_second.values())
    return f"{outcome.sent} calls, {refused} refused"


def _own_enum(settings: Settings) -> str:
    """Where the ENUM server of this data folder answers."""
    file: Path = settings.data / "run" / "enum.json"
    try:
        listen = str(json.loads(file.read_text(encoding="utf-8"))["listen"][0])
    except (OSError, ValueError, KeyError, IndexError):
        raise UnavailableError(
            f"no ENUM server runs on {settings.data}: start `ringfence up`, or name one with --to"
        ) from None
    return _to_ask(listen)


def _own_hep(settings: Settings) -> str | None:
    """Where the probe of this data folder takes HEP; None: none runs, or it takes none."""
    try:
        listen = json.loads((settings.data / "run" / "probe.json").read_text(encoding="utf-8"))["hep"]
    except (OSError, ValueError, KeyError):
        return None
    return _to_ask(str(listen[0])) if listen else None


def _to_ask(listen: str) -> str:
    """An address that answers everywhere answers on loopback."""
    return listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")


def _exchange(text: str) -> str:
    digits = text.removeprefix("+")
    if not (text.startswith("+") and digits.isdigit() and 4 <= len(digits) <= 11):
        raise InvalidInputError(f"--exchange: {text!r} must be + and 4 to 11 digits, such as {Scene.exchange}")
    return text


def _kind_json(kind: Kind) -> dict[str, Any]:
    return {
        "kind": kind.name,
        "words": kind.words,
        "seen_by": kind.sees,
        "calls_per_second": kind.trial.calls_per_second,
        "seconds": kind.trial.seconds,
    }
