"""Options that all commands share, and the settings that they lead to."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.settings import Settings, load_settings

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration file (TOML).", show_default=False)
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="FOLDER", help="Data folder; default ./ringfence-data.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.", show_default=False)]


def settings_from(config: Path | None, data: Path | None, **flags: Any) -> Settings:
    """Settings from file, environment and flags; `api__port` is the setting `api.port`."""
    named = {name.replace("__", "."): value for name, value in flags.items()}
    return load_settings(config, flags={"data": data, **named})


def configuration_file(config: Path | None) -> Path | None:
    """The file that `--config` or RINGFENCE_CONFIG names; None: neither does."""
    named = os.environ.get("RINGFENCE_CONFIG")
    return config or (Path(named) if named else None)


def command_there(settings: Settings, command: str | None) -> str:
    """How `ringfence` is called on the other node, over ssh: as said, else on the folder that this one has."""
    return command or f"env RINGFENCE_DATA={shlex.quote(str(settings.data))} ringfence"


FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="NAME=VALUE",
        help="Only calls with it, such as call_type=premium, direction=inbound, country=US, site=hq; may be repeated.",
        show_default=False,
    ),
]
