"""Options that all commands share, and the settings that they lead to."""

from __future__ import annotations

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


FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="NAME=VALUE",
        help="Only calls with it, such as call_type=premium, direction=inbound, country=US, site=hq; may be repeated.",
        show_default=False,
    ),
]
