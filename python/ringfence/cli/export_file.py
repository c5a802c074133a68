"""`--export FILE`: what the mediation streams, written to a file that is there whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ringfence.cli.output import print_line
from ringfence.errors import InvalidInputError
from ringfence.mediation.client import Client


def form_of(file: Path, forms: tuple[str, ...]) -> str:
    """The form that a file's name asks for. InvalidInputError when it is none of `forms`."""
    form = file.suffix.removeprefix(".").lower()
    if form not in forms:
        raise InvalidInputError(f"--export: {file} must end in {' or '.join(f'.{one}' for one in forms)}")
    return form


def write_export(client: Client, path: str, parameters: dict[str, Any], file: Path) -> None:
    """Write what `path` streams. InvalidInputError when the file cannot be written; RingfenceError as refused."""
    asked = {name: value for name, value in parameters.items() if value is not None}
    fresh = file.with_name(f"{file.name}.new")
    try:
        with fresh.open("wb") as out:
            out.writelines(client.stream(path, asked))
        fresh.replace(file)
    except OSError as error:
        raise InvalidInputError(f"--export: {file} cannot be written: {error.strerror}") from None
    finally:
        fresh.unlink(missing_ok=True)
    print_line(f"{file}: written")
