"""`ringfence explain`: how a call would be decided, and why; or why a recorded one was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.period import parse_moment
from ringfence.errors import InvalidInputError

_REASONS = {
    "default": "no rule decides",
    "protected": "a protected destination, such as an emergency number, is always allowed",
    "no_policy": "no policy is installed; each device answers as its fail mode says",
    "not_a_number": "the destination is not a number",
}
_STYLES = {"allow": "green", "terminate": "red", "redirect": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain)


def explain(
    source: Annotated[
        str | None, typer.Argument(help="Caller: a number in any form, sip:…, or - for none.", show_default=False)
    ] = None,
    destination: Annotated[str | None, typer.Argument(help="Called number, in any form.", show_default=False)] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Under this version instead of what is installed.", show_default=False)
    ] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Under the draft.", show_default=False)] = False,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="So long ago (2h), or a date and time.", show_default=False)
    ] = None,
    site: Annotated[str | None, typer.Option(help="At this site.", show_default=False)] = None,
    device: Annotated[str | None, typer.Option(help="On this device.", show_default=False)] = None,
    client: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Answered to the SBC at this address.", show_default=False)
    ] = None,
    event: Annotated[
        str | None,
        typer.Option(
            metavar="STREAM/SEQUENCE",
            help="A recorded call, as `events --json` names it; or DEVICE/JOURNAL/STREAM/SEQUENCE.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Say how a call from SOURCE to DESTINATION would be decided, and why; or with --event why a recorded one was."""
    if event is None and (source is None or destination is None):
        raise InvalidInputError("SOURCE and DESTINATION are needed, or --event; SOURCE - is a caller without number")
    with connect(settings_from(config, data)) as client_of:
        if event is not None:
            answer = client_of.get("explain/event", event=event)
        else:
            time = parse_moment("--at", at, datetime.now(UTC)).isoformat() if at else None
            answer = client_of.get(
                "explain",
                source=None if source == "-" else source,
                destination=destination,
                version=version,
                draft=draft or None,
                time=time,
                site=site,
                device=device,
                client=client,
            )
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def _print(answer: dict[str, Any]) -> None:
    print_line(decision_line(answer), _STYLES.get(answer["action"]))
    for caution in answer["cautions"]:
        print_line(f"caution: {caution}", "yellow")
    place = answer["place"]
    sbc = place["sbc"]
    rows: list[tuple[str, object, object]] = [
        ("source", answer["source"], answer["source_class"]),
        ("destination", answer["destination"], answer["destination_class"]),
        ("direction", answer["direction"], None),
        ("policy version", answer["policy_version"] or None, None),
        ("site", place["site"], None),
        ("answer", answer["answer"], f"to {sbc['name']} ({sbc['profile']})" if sbc else None),
    ]
    if place["device"]:
        rows.insert(5, ("device", place["device"], None))
    if "call" in answer:
        rows.append(("recorded", _recorded(answer["call"]), "agrees" if answer["agrees"] else "differs"))
    print_table(("", "as matched", "class"), rows)
    if answer["entries"]:
        print_line("")
        print_table(
            ("list", "entry", "of", "kind", "expires (UTC)", "origin", "note"),
            [
                (e["list"], e["pattern"], e["side"], e["kind"], _time(e["expires_at"]), e["origin"], e["note"])
                for e in answer["entries"]
            ],
        )
    if answer["rules"]:
        print_line("")
        print_table(
            ("rule", "mode", "verdict", "why"),
            [(rule["name"], rule["mode"], rule["verdict"].replace("_", " "), rule["why"]) for rule in answer["rules"]],
        )


def decision_line(answer: dict[str, Any]) -> str:
    """The decision in one sentence."""
    action = answer["action"] + (f" to {answer['target']}" if answer["target"] else "")
    why = f"rule {answer['rule']!r}" if answer["rule"] else _REASONS.get(answer["reason"], answer["reason"])
    watched = f" (monitored: {', '.join(answer['monitored'])})" if answer["monitored"] else ""
    return f"{action}: {why}{watched}"


def _recorded(call: dict[str, Any]) -> str:
    by = f" by {call['rule']}" if call["rule"] else ""
    return f"{call['action']}{by} on {call['device']} at {_time(call['time'])} UTC"


def _time(text: str | None) -> str | None:
    return text[:19].replace("T", " ") if text else None
