"""`ringfence explain`: how a call would be decided, and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table

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
    source: Annotated[str, typer.Argument(help="Caller: a number in any form, sip:…, or - for none.")],
    destination: Annotated[str, typer.Argument(help="Called number, in any form.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="Under this version instead of the installed one.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Say how a call from SOURCE to DESTINATION would be decided now, and why."""
    with connect(settings_from(config, data)) as client:
        answer = client.get(
            "explain", source=None if source == "-" else source, destination=destination, version=version
        )
    if as_json:
        print_json(answer)
        return
    print_line(decision_line(answer), _STYLES.get(answer["action"]))
    print_table(
        ("", "as matched", "class"),
        [
            ("source", answer["source"], answer["source_class"]),
            ("destination", answer["destination"], answer["destination_class"]),
            ("direction", answer["direction"], None),
            ("policy version", answer["policy_version"] or None, None),
            ("answer", answer["answer"], None),
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
