"""Numbers as the console shows them: E.164, with the national form on hover."""

from __future__ import annotations

from ringfence.numbering.display import national_form


def number_cells(source: str | None, destination: str | None) -> dict[str, str | None]:
    """Both numbers of a call as `rf.cells.number` and `rf.cells.pair` draw them, each with its national form."""
    return {
        "source": source,
        "source_national": national(source),
        "destination": destination,
        "destination_national": national(destination),
    }


def national(text: str | None) -> str | None:
    """`(210) 555-0123` for `+12105550123`; None for text that is not E.164."""
    digits = (text or "").removeprefix("+")
    if not text or not text.startswith("+") or not (digits.isascii() and digits.isdigit()):
        return None
    return national_form(int(digits)) if len(digits) <= 18 else None
