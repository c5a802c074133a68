"""Section `configuration`: the settings that another host may take over, and an operator's PostgreSQL settings.

    configuration/ringfence.toml      what is set, without what belongs to this host (`HOST_SETTINGS`)
    configuration/local.conf          the operator's own settings of the embedded server, where there are any

Taken over, the portable settings replace those of the host's own configuration file and its host settings stay. Flags
and environment still come first there, as ever. Secrets in the settings travel along: a backup is as secret as they.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ringfence.availability.archive import Source
from ringfence.availability.manifest import CONFIGURATION
from ringfence.database.cluster import embedded_cluster
from ringfence.errors import ConfigurationError, UnavailableError
from ringfence.private_file import write_private
from ringfence.settings import Settings, load_settings

SETTINGS_FILE = "ringfence.toml"
POSTGRESQL_FILE = "local.conf"
# In the data folder: what was to be taken over where the configuration file is root's, as the package has it.
ASIDE_FILE = "ringfence.taken-over.toml"
# Addresses, ports, folders, interfaces, credentials of one host; a name alone stands for a whole section.
HOST_SETTINGS = frozenset(
    {
        "data",
        "url",
        "token",
        "database",
        "api",
        "availability.partners",
        "backup.folder",
        "backup.key_file",
        "mail.ca_file",
        "trust.ca_file",
        "accounts.ldap.ca_file",
        "accounts.ldap.bind_password_file",
        "accounts.oidc.ca_file",
        "accounts.oidc.client_secret_file",
        "storage.disk_path",
        "mail.user",
        "mail.password_file",
        "enum.enabled",
        "enum.listen",
        "enum.workers",
        "enum.receive_buffer_bytes",
        "enum.journal.stage",
        "probe.interfaces",
        "probe.hep_listen",
        "probe.workers",
        "probe.ring_bytes",
        "probe.journal.stage",
        "edge.credential",
        "edge.credential_file",
        "edge.certificate_file",
        "edge.key_file",
        "edge.metrics_host",
        "edge.metrics_port",
    }
)
_HEAD = "# Portable settings of a Ringfence node, from its backup. Settings of one host are not among them.\n"


def portable(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Of dotted settings those that another host may take over."""
    return {name: value for name, value in flat.items() if not is_of_host(name)}


def is_of_host(name: str) -> bool:
    """Whether a dotted setting belongs to one host."""
    parts = name.split(".")
    return any(".".join(parts[: count + 1]) in HOST_SETTINGS for count in range(len(parts)))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names of a tree of settings."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def render(flat: Mapping[str, Any], head: str = _HEAD) -> str:
    """Dotted settings as TOML; what JSON writes of text, numbers and lists is TOML too."""
    sections: dict[str, list[str]] = {}
    for name, value in flat.items():
        section, _, leaf = name.rpartition(".")
        sections.setdefault(section, []).append(f"{leaf} = {json.dumps(value, ensure_ascii=False)}")
    lines = [head, *sections.pop("", [])]
    for section, entries in sorted(sections.items()):
        lines += ["", f"[{section}]", *entries]
    return "\n".join(lines) + "\n"


def collect(settings: Settings, staging: Path) -> list[Source]:
    """Write the section's files below `staging` and name them."""
    staging.mkdir(mode=0o700, parents=True)
    chosen = flatten(settings.model_dump(mode="json", exclude_unset=True, exclude_none=True))
    write_private(staging / SETTINGS_FILE, render(portable(chosen)))
    sources = [Source(CONFIGURATION, f"{CONFIGURATION}/{SETTINGS_FILE}", staging / SETTINGS_FILE)]
    local = _postgresql_file(settings)
    if local is not None and local.is_file():
        (staging / POSTGRESQL_FILE).write_bytes(local.read_bytes())
        sources.append(Source(CONFIGURATION, f"{CONFIGURATION}/{POSTGRESQL_FILE}", staging / POSTGRESQL_FILE))
    return sources


def take_over(settings: Settings, folder: Path, file: Path | None) -> Path:
    """Put the settings in `folder` in force for this host. Returns the configuration file that now holds them.

    `file` is the host's own configuration file; without one it is `ringfence.toml` in the data folder. What is refused
    changes nothing. Where we may not write it, the settings lie in `ASIDE_FILE`, unless it says the same already: a
    site that is lost does not wait for root.
    """
    target = file or settings.data / SETTINGS_FILE
    own = flatten(_read(target)) if target.exists() else {}
    merged = {name: value for name, value in own.items() if is_of_host(name)} | portable(
        flatten(_read(folder / SETTINGS_FILE))
    )
    fresh = folder / "merged.toml"
    fresh.write_text(render(merged, "# Ringfence: settings of this host, and those taken over from a backup.\n"))
    load_settings(fresh, {})  # a setting that this version does not know is refused here
    if merged != own:
        target = _put_in_place(target, fresh.read_text(encoding="utf-8"), settings.data / ASIDE_FILE)
    local = _postgresql_file(settings)
    if local is not None and (folder / POSTGRESQL_FILE).is_file() and local.parent.is_dir():
        owner = local.parent.stat()
        write_private(local, (folder / POSTGRESQL_FILE).read_text(encoding="utf-8"))
        _chown(local, owner.st_uid, owner.st_gid)
    return target


def is_aside(file: Path | None) -> bool:
    """Whether `take_over` could not put the settings in force."""
    return file is not None and file.name == ASIDE_FILE


def _put_in_place(target: Path, text: str, aside: Path) -> Path:
    """The file that has the text now; one that was there keeps who may read it."""
    before = target.stat() if target.exists() else None
    try:
        write_private(target, text)
    except PermissionError:
        write_private(aside, text)
        return aside
    if before is not None:
        _chown(target, before.st_uid, before.st_gid)
        target.chmod(stat.S_IMODE(before.st_mode))
    return target


def _postgresql_file(settings: Settings) -> Path | None:
    if settings.database.url is not None:
        return None
    try:
        return embedded_cluster(settings.data) / POSTGRESQL_FILE
    except UnavailableError:
        return None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be read as TOML: {error}") from None


def _chown(file: Path, uid: int, gid: int) -> None:
    if os.geteuid() == 0:
        os.chown(file, uid, gid)
