"""`ringfence token`: API tokens of programs, of people, and of this command on other machines."""

from __future__ import annotations

from typing import Annotated

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table

group = typer.Typer(no_args_is_help=True, help="API tokens of programs.")
Name = Annotated[str, typer.Argument(help="The token's name.")]


Own = Annotated[bool, typer.Option("--own", help="Of yourself, instead of all: needs no administrator.")]


def _path(own: bool) -> str:
    return "session/tokens" if own else "tokens"


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="token")


@group.command("add")
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="viewer, analyst, editor or administrator.")] = "viewer",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it ends.", show_default="never")] = None,
    site: Annotated[list[str] | None, typer.Option(help="Limit it to this site; may be repeated.")] = None,
    own: Own = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make a token and print it; it is not shown again."""
    with connect(settings_from(config, data)) as client:
        made = client.post(_path(own), {"name": name, "role": role, "days": days, "sites": site or None})
    if as_json:
        print_json(made)
    else:
        print_line(f"Token {name} ({role}) made, shown only now:")
        print_line(made["token"])


@group.command("list")
def list_tokens(
    own: Own = False, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None
) -> None:
    """List tokens in force."""
    with connect(settings_from(config, data)) as client:
        found = client.get(_path(own))["tokens"]
    if as_json:
        print_json(found)
        return
    print_table(
        ("token", "owner", "role", "sites", "created (UTC)", "last used (UTC)", "ends (UTC)"),
        [
            (
                token["name"],
                token["owner"],
                token["role"],
                "all" if token["sites"] is None else ", ".join(token["sites"]),
                token["created_at"][:19],
                (token["last_used_at"] or "")[:19],
                (token["expires_at"] or "never")[:19],
            )
            for token in found
        ],
    )


@group.command("revoke")
def revoke(name: Name, own: Own = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """End a token, at once."""
    with connect(settings_from(config, data)) as client:
        client.delete(f"{_path(own)}/{name}")
    print_line(f"Token {name} revoked.")
