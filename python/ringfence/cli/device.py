"""`ringfence device`: register, list and revoke ENUM servers and probes."""

from __future__ import annotations

from typing import Annotated

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table

group = typer.Typer(no_args_is_help=True, help="ENUM servers and probes.")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="device")


@group.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Letters, digits, '.', '_' or '-'.")],
    kind: Annotated[str, typer.Option(help="enum or probe.")] = "enum",
    site: Annotated[str | None, typer.Option(help="Where it stands.", show_default="the first site")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Register a device and print its credential, which is not shown again."""
    with connect(settings_from(config, data)) as client:
        made = client.post("devices", {"name": name, "kind": kind, "site": site})
    if as_json:
        print_json(made)
        return
    print_line(f"Device {name} registered at site {made['site']}. Its credential, shown only now:")
    print_line(made["credential"])


@group.command("list")
def list_devices(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """List devices and what they last reported."""
    with connect(settings_from(config, data)) as client:
        found = client.get("devices")["devices"]
    if as_json:
        print_json(found)
        return
    print_table(
        ("device", "kind", "site", "live", "last seen (UTC)", "address", "policy", "wanted", "software"),
        [
            (
                device["name"],
                device["kind"],
                device["site"],
                device["is_live"],
                (device["last_seen_at"] or "")[:19],
                device["address"],
                device["policy_version"],
                device["wanted_version"],
                device["software"],
            )
            for device in found
        ],
    )


@group.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="The device's name.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Take a device's credential away, at once."""
    with connect(settings_from(config, data)) as client:
        client.delete(f"devices/{name}")
    print_line(f"Device {name} revoked.")
