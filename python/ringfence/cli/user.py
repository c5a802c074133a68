"""`ringfence user`: people's accounts."""

from __future__ import annotations

from typing import Annotated

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table

group = typer.Typer(no_args_is_help=True, help="People's accounts.")
Name = Annotated[str, typer.Argument(help="The account's name.")]
RoleWord = Annotated[str, typer.Option("--role", help="viewer, analyst, editor or administrator.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="user")


@group.command("add")
def add(
    name: Name,
    role: RoleWord = "viewer",
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make an account and print its one-time password, which is not shown again."""
    with connect(settings_from(config, data)) as client:
        made = client.post("users", {"name": name, "role": role})
    if as_json:
        print_json(made)
    else:
        print_line(f"User {name} ({role}) made. One-time password: {made['one_time_password']}")


@group.command("list")
def list_users(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """List accounts."""
    with connect(settings_from(config, data)) as client:
        found = client.get("users")["users"]
    if as_json:
        print_json(found)
        return
    print_table(
        (
            "user",
            "role",
            "by",
            "sites",
            "second factor",
            "disabled",
            "password to change",
            "locked until (UTC)",
            "last seen (UTC)",
        ),
        [
            (
                user["name"],
                user["role"],
                user["origin"],
                "all" if user["sites"] is None else ", ".join(user["sites"]),
                user["has_second_factor"],
                user["disabled"],
                user["must_change_password"],
                (user["locked_until"] or "")[:19],
                (user["last_seen_at"] or "")[:19],
            )
            for user in found
        ],
    )


@group.command("role")
def role(
    name: Name,
    new_role: Annotated[str, typer.Argument(metavar="ROLE", help="viewer, analyst, editor or administrator.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Give an account another role."""
    with connect(settings_from(config, data)) as client:
        client.post(f"users/{name}/role", {"role": new_role})
    print_line(f"User {name} is now {new_role}.")


@group.command("reset")
def reset(name: Name, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Give an account a new one-time password, lift its lock and end its sessions."""
    with connect(settings_from(config, data)) as client:
        made = client.post(f"users/{name}/reset")
    if as_json:
        print_json(made)
    else:
        print_line(f"User {name}: one-time password: {made['one_time_password']}")


@group.command("disable")
def disable(name: Name, config: ConfigOption = None, data: DataOption = None) -> None:
    """Close an account and end its sessions."""
    with connect(settings_from(config, data)) as client:
        client.post(f"users/{name}/disable")
    print_line(f"User {name} disabled.")


@group.command("enable")
def enable(name: Name, config: ConfigOption = None, data: DataOption = None) -> None:
    """Open a closed account again."""
    with connect(settings_from(config, data)) as client:
        client.post(f"users/{name}/enable")
    print_line(f"User {name} enabled.")


@group.command("sites")
def sites(
    name: Name,
    site: Annotated[list[str] | None, typer.Argument(help="The sites.", show_default="all")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Limit an account to sites; without any it sees all."""
    with connect(settings_from(config, data)) as client:
        client.post(f"users/{name}/sites", {"sites": site or None})
    print_line(f"User {name} sees {', '.join(site) if site else 'all sites'}.")


@group.command("sessions")
def sessions(
    name: Name,
    end: Annotated[bool, typer.Option("--end", help="End them all.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """List an account's sessions, or end them."""
    with connect(settings_from(config, data)) as client:
        found = client.get(f"users/{name}/sessions")["sessions"]
        if end:
            for session in found:
                client.delete(f"session/sessions/{session['session_id']}")
    if as_json:
        print_json(found)
        return
    print_table(
        ("session", "from", "browser", "signed in (UTC)", "last used (UTC)"),
        [
            (
                session["session_id"],
                session["address"],
                session["agent"],
                session["created_at"][:19],
                (session["last_used_at"] or "")[:19],
            )
            for session in found
        ],
    )
    if end:
        print_line(f"{len(found)} sessions of {name} ended.")


@group.command("second-factor")
def second_factor(
    name: Annotated[str | None, typer.Argument(help="Whose second factor is reset.")] = None,
    require: Annotated[
        list[str] | None, typer.Option(help="Roles that must have one, and no others; may be repeated. none: no role.")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Reset somebody's second factor, or say which roles must have one; else show which must."""
    with connect(settings_from(config, data)) as client:
        if name is not None:
            client.post(f"users/{name}/second_factor/reset")
            print_line(f"User {name}: second factor reset, sessions ended.")
        if require is not None:
            client.request("PUT", "second_factor", json={"roles": [role for role in require if role != "none"]})
        if name is None or require is not None:
            roles = client.get("second_factor")["roles"]
            print_line(f"A second factor is needed by: {', '.join(roles) or 'no role'}.")
