"""`ringfence token`: API tokens of programs, and of this command on other machines."""

from __future__ import annotations

from typing import Annotated

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table

group = typer.Typer(no_args_is_help=True, help="API tokens of programs.")
Name = Annotated[str, typer.Argument(help="The token's name.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="token")


@group.command("add")
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="viewer, analyst, editor or administrator.")] = "viewer",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it ends.", show_default="never")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make a token and print it; it is not shown again."""
    with connect(settings_from(config, data)) as client:
        made = client.post("tokens", {"name": name, "role": role, "days": days})
    if as_json:
        print_json(made)
    else:
        print_line(f"Token {name} ({role}) made, shown only now:")
        print_line(made["token"])


@group.command("list")
def list_tokens(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """List tokens in force."""
    with connect(settings_from(config, data)) as client:
        found = client.get("tokens")["tokens"]
    if as_json:
        print_json(found)
        return
    print_table(
        ("token", "role", "created (UTC)", "last used (UTC)", "ends (UTC)"),
        [
            (
                token["name"],
                token["role"],
                token["created_at"][:19],
                (token["last_used_at"] or "")[:19],
                (token["expires_at"] or "never")[:19],
            )
            for token in found
        ],
    )


@group.command("revoke")
def revoke(name: Name, config: ConfigOption = None, data: DataOption = None) -> None:
    """End a token, at once."""
    with connect(settings_from(config, data)) as client:
        client.delete(f"tokens/{name}")
    print_line(f"Token {name} revoked.")
