"""Which settings another host may take over: a setting that names a place of this host is not among them."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ringfence.availability.configuration import HOST_SETTINGS, is_of_host, render
from ringfence.settings import Settings, _names

# Settings whose names sound like a host's own and which are the system's all the same.
PORTABLE = {"edge.hep_out.to", "edge.hep_out.node", "edge.hep_out.key", "mail.host", "mail.port"}


def test_every_host_setting_exists() -> None:
    names = set(_names(Settings))
    sections = {name.rpartition(".")[0] for name in names} | {name.split(".")[0] for name in names}
    assert names | sections >= HOST_SETTINGS


def test_what_names_a_place_of_the_host_stays() -> None:
    """Folders, files, ports, addresses to listen on: whoever adds such a setting adds it to HOST_SETTINGS."""
    for name in _names(Settings):
        leaf = name.rpartition(".")[2]
        field: object = Settings
        for part in name.split("."):
            field = field.model_fields[part].annotation  # type: ignore[attr-defined]
        is_place = field in (Path, Path | None) or leaf.endswith(("port", "host", "listen", "socket"))
        if is_place and name not in PORTABLE:
            assert is_of_host(name), f"{name} belongs to one host: add it to availability.configuration.HOST_SETTINGS"


def test_rendered_settings_are_toml() -> None:
    flat = {
        "log.level": "debug",
        "site.own_ranges": ["+1900*", 'a"b\\c\n'],
        "backup.keep": 3,
        "edge.hep_out.to": "tcp:ü:1",
    }
    read = tomllib.loads(render(flat))
    assert read["site"]["own_ranges"] == flat["site.own_ranges"]
    assert read["edge"]["hep_out"]["to"] == "tcp:ü:1"
    assert read["backup"]["keep"] == 3
