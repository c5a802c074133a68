"""`ringfence config`: what can be set, and what is set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ringfence.settings import Settings, load_settings
from ringfence.settings_sample import render_sample

SECRETS = {"token", "edge.credential", "database.url"}


def register(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    group = typer.Typer(help="Settings: what can be set, and what is set.", no_args_is_help=True)
    group.command("sample")(print_sample)
    group.command("show")(print_settings)
    app.add_typer(group, name="config")


def print_sample() -> None:
    """Print every setting with its default, as a commented TOML file."""
    typer.echo(render_sample(), nl=False)


def print_settings(
    config: Annotated[Path | None, typer.Option("--config", help="TOML file to read.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the settings in force after file and environment; secrets are masked."""
    settings = load_settings(config)
    flat = dict(_flat(settings))
    if as_json:
        typer.echo(json.dumps(flat, indent=2))
        return
    for name, value in flat.items():
        typer.echo(f"{name} = {json.dumps(value, ensure_ascii=False)}")


def _flat(settings: Settings) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []

    def visit(tree: dict[str, object], prefix: str) -> None:
        for key, value in tree.items():
            name = f"{prefix}{key}"
            if isinstance(value, dict):
                visit(value, f"{name}.")
            else:
                rows.append((name, "********" if name in SECRETS and value else value))

    visit(settings.model_dump(mode="json"), "")
    return rows
