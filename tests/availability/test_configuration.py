"""Which settings another host may take over: a setting that names a place of this host is not among them."""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ringfence.availability.configuration import HOST_SETTINGS, is_aside, is_of_host, render, take_over
from ringfence.settings import Settings, _names

NOBODY = 65534
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


@contextmanager
def as_account_without_rights() -> Iterator[None]:
    """What the package's account may: nothing that root keeps to itself."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def host() -> Iterator[tuple[Settings, Path, Path]]:
    """Data folder, the backup's settings, and a configuration file that the account reads and may not replace."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        data, taken, kept = folder / "data", folder / "taken", folder / "etc"
        for one in (data, taken, kept):
            one.mkdir()
        (taken / "ringfence.toml").write_text("[backup]\nkeep = 3\n", encoding="utf-8")
        (kept / "ringfence.toml").write_text("[api]\nport = 8421\n", encoding="utf-8")
        if os.geteuid() == 0:
            for one in (data, taken):
                os.chown(one, NOBODY, NOBODY)
        kept.chmod(0o555)
        yield Settings(data=data), taken, kept / "ringfence.toml"
        kept.chmod(0o755)


def test_settings_whose_file_is_roots_are_left_beside_and_nothing_fails(host: tuple[Settings, Path, Path]) -> None:
    settings, taken, file = host
    before = file.read_text(encoding="utf-8")
    with as_account_without_rights():
        aside = take_over(settings, taken, file)
    assert is_aside(aside)
    assert tomllib.loads(aside.read_text(encoding="utf-8")) == {"api": {"port": 8421}, "backup": {"keep": 3}}
    assert file.read_text(encoding="utf-8") == before


def test_settings_that_are_in_force_already_need_no_right(host: tuple[Settings, Path, Path]) -> None:
    settings, taken, file = host
    (taken / "ringfence.toml").write_text("[api]\nport = 9999\n", encoding="utf-8")
    with as_account_without_rights():
        assert take_over(settings, taken, file) == file


def test_a_configuration_file_stays_as_readable_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "ringfence.toml").write_text("[backup]\nkeep = 3\n", encoding="utf-8")
    file = tmp_path / "own.toml"
    file.write_text("", encoding="utf-8")
    file.chmod(0o640)
    assert take_over(Settings(data=tmp_path), tmp_path, file) == file
    assert file.stat().st_mode & 0o777 == 0o640
    assert tomllib.loads(file.read_text(encoding="utf-8")) == {"backup": {"keep": 3}}


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
