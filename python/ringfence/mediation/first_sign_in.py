"""The first administrator's one-time password, told to the one who starts this: on the screen, else in a private file.

Never in a log: what goes to the journal is read by others. The password must be changed at the first sign-in, and is
worth nothing from then on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from ringfence.private_file import write_private
from ringfence.service.journal import is_journal


def first_sign_in_file(data: Path) -> Path:
    """Where a service leaves it."""
    return data / "first-sign-in"


def where_to_read(data: Path, user: str, password: str, screen: TextIO) -> str:
    """What to print on `screen`: the password, or the file that it was written to."""
    if not is_journal(screen):
        return f"{user}, one-time password {password}"
    file = first_sign_in_file(data)
    write_private(file, f"{user} {password}\n")
    return f"{user}, one-time password in {file}"
