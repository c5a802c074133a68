"""The device's own credential: shown once when it was registered, kept in a file only its owner can read."""

from __future__ import annotations

from pathlib import Path

from ringfence.errors import ConfigurationError
from ringfence.settings import EdgeSettings

_OTHERS = 0o077


def read_credential(edge: EdgeSettings, folder: Path) -> str | None:
    """The credential from the settings, the file they name, or `<folder>/credential`; None when there is none."""
    if edge.credential:
        return edge.credential
    if edge.credential_file is not None:
        return _read(edge.credential_file)
    default = folder / "credential"
    return _read(default) if default.exists() else None


def _read(file: Path) -> str:
    try:
        if file.stat().st_mode & _OTHERS:
            raise ConfigurationError(f"edge.credential_file: {file} can be read by others; its mode must be 0600")
        credential = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"edge.credential_file: {file} cannot be read: {error}") from None
    if not credential:
        raise ConfigurationError(f"edge.credential_file: {file} is empty")
    return credential
