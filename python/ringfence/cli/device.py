"""`ringfence device`: register, list, show, edit and revoke ENUM servers and probes."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.period import parse_duration

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


@group.command("invite")
def invite(
    name: Annotated[str, typer.Argument(help="Letters, digits, '.', '_' or '-'.")],
    kind: Annotated[str, typer.Option(help="enum or probe.")] = "enum",
    site: Annotated[str | None, typer.Option(help="Where it stands.", show_default="the first site")] = None,
    expires: Annotated[str, typer.Option(metavar="TIME", help="How long the token counts: 30m, 1h, 2d.")] = "1h",
    address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", help="Where it reaches the mediation; repeat for both pairs.", show_default="api.address"
        ),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Print a one-time token with which a device enrols: `ringfence enum enrol TOKEN` over there."""
    body = {"name": name, "kind": kind, "site": site, "expires_s": parse_duration("--expires", expires).total_seconds()}
    with connect(settings_from(config, data)) as client:
        made = client.post("device-invitations", body | {"addresses": address or []})
    if as_json:
        print_json(made)
        return
    print_line(f"{name} is invited until {made['expires_at'][:16].replace('T', ' ')} UTC. On that machine, once:")
    print_line(f"ringfence {kind} enrol {made['token']}")


@group.command("invitations")
def invitations(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """List invitations that can still be accepted."""
    with connect(settings_from(config, data)) as client:
        found = client.get("device-invitations")["invitations"]
    if as_json:
        print_json(found)
        return
    print_table(
        ("invitation", "device", "kind", "site", "by", "until (UTC)"),
        [(i["invitation_id"], i["name"], i["kind"], i["site"], i["made_by"], i["expires_at"][:19]) for i in found],
    )


@group.command("withdraw")
def withdraw(
    invitation: Annotated[int, typer.Argument(help="Its number, as `ringfence device invitations` shows it.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Withdraw an invitation before it is accepted."""
    with connect(settings_from(config, data)) as client:
        client.delete(f"device-invitations/{invitation}")
    print_line(f"Invitation {invitation} withdrawn.")


@group.command("rotate")
def rotate(
    name: Annotated[str, typer.Argument(help="The device's name.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Have an enrolled device make a new key and certificate now; it does so by itself before the old one ends."""
    with connect(settings_from(config, data)) as client:
        client.post(f"devices/{quote(name, safe='')}/rotate")
    print_line(f"Device {name} renews its certificate with its next heartbeat.")


@group.command("list")
def list_devices(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """List devices and what they last reported."""
    with connect(settings_from(config, data)) as client:
        found = client.get("devices")["devices"]
    if as_json:
        print_json(found)
        return
    print_table(
        (
            "device",
            "kind",
            "site",
            "live",
            "last seen (UTC)",
            "installed",
            "by",
            "enforces",
            "drift since (UTC)",
            "clock",
            "certificate until",
            "software",
        ),
        [
            (
                device["name"],
                device["kind"],
                device["site"],
                device["is_live"],
                (device["last_seen_at"] or "")[:19],
                device["wanted_version"] or None,
                device["wanted_from"],
                device["policy_version"] or None,
                (device["drift_since"] or "")[:19],
                _clock(device["clock_offset_us"]),
                (device["certificate_until"] or "")[:10],
                device["software"],
            )
            for device in found
        ],
    )


def _clock(offset_us: int | None) -> str | None:
    return None if offset_us is None else f"{offset_us / 1e6:+.1f} s"


@group.command("show")
def show(
    name: Annotated[str, typer.Argument(help="The device's name.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show one device: what is installed on it, what is pending, what it was last seen to enforce."""
    with connect(settings_from(config, data)) as client:
        device = client.get(f"devices/{quote(name, safe='')}")
    _say(device, as_json)


@group.command("edit")
def edit(
    name: Annotated[str, typer.Argument(help="The device's name.")],
    site: Annotated[str | None, typer.Option(help="Where it stands now.", show_default=False)] = None,
    note: Annotated[str | None, typer.Option(help="A note.", show_default=False)] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Say that a device stands at another site, or note something."""
    body = {key: value for key, value in (("site", site), ("note", note)) if value is not None}
    with connect(settings_from(config, data)) as client:
        device = client.request("PATCH", f"devices/{quote(name, safe='')}", json=body)
    _say(device, as_json)


def _say(device: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(device)
        return
    pending = device["pending_version"]
    print_table(
        ("", ""),
        [
            ("device", device["name"]),
            ("kind", device["kind"]),
            ("site", device["site"]),
            ("note", device["note"]),
            ("live", device["is_live"]),
            ("last seen (UTC)", (device["last_seen_at"] or "")[:19]),
            ("address", device["address"]),
            ("clock", _clock(device["clock_offset_us"])),
            ("certificate until", (device["certificate_until"] or "")[:19]),
            ("software", device["software"]),
            ("installed version", device["wanted_version"] or "none"),
            ("installed by", device["wanted_from"]),
            ("installed since (UTC)", (device["wanted_since"] or "")[:19]),
            ("pending version", None if pending is None else pending or "none"),
            ("last-seen version", device["policy_version"] or "none"),
            ("enforced since (UTC)", (device["policy_since"] or "")[:19]),
            ("drift since (UTC)", (device["drift_since"] or "")[:19]),
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
