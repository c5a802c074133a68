"""`ringfence`: the operator's command. One module per command group; each `register`s its commands here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from ringfence import __version__
from ringfence.errors import RingfenceError

# Module of each command group, in the order that `--help` shows.
GROUPS: tuple[str, ...] = (
    "up",
    "status",
    "logs",
    "policy",
    "schedule",
    "list",
    "explain",
    "number",
    "simulate",
    "hits",
    "site",
    "device",
    "user",
    "token",
    "audit",
    "service",
    "database",
    "failover",
    "failback",
    "fence",
    "fst",
    "demo",
    "mediation",
    "enum",
    "probe",
    "analytics",
    "report",
    "alert",
    "detection",
    "events",
    "call",
    "enforcement",
    "backup",
    "restore",
    "standby",
    "config",
)

# Exit codes, one table for the whole CLI (docs/cli.md).
EXIT_CODES = {
    "configuration": 2,
    "invalid": 2,
    "not_found": 3,
    "conflict": 4,
    "not_signed_in": 5,
    "forbidden": 5,
    "unavailable": 6,
}


def build(groups: Sequence[str] = GROUPS) -> typer.Typer:
    """Assemble the command tree of these groups."""
    app = typer.Typer(
        name="ringfence",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_program)  # with it a program of one command keeps the command's name
    for group in groups:
        import_module(f"ringfence.cli.{group}").register(app)
    return app


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ringfence {__version__}")
        raise typer.Exit


def _program(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_tell_version, help="Print the version and exit."
    ),
) -> None:
    """Open voice-network policy controller."""


def groups_for(arguments: Sequence[str]) -> Sequence[str]:
    """The groups that a command line needs: what it names, else all, for help, completion and suggestions.

    The name of a group is the name of its command. Other groups bring libraries that this one can do without.
    """
    return (arguments[0],) if arguments and arguments[0] in GROUPS else GROUPS


def run() -> None:
    """Entry point: one line on standard error and a documented exit code for every expected failure."""
    try:
        build(groups_for(sys.argv[1:]))()
    except RingfenceError as error:
        typer.echo(f"ringfence: {error.message}", err=True)
        sys.exit(EXIT_CODES.get(error.code.split(".")[0], 1))
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
