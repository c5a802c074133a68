"""A stored number → the text that people read. Rows hold E.164 digits as an integer, 0 for "not a number"."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers


def e164(number: int) -> str | None:
    """`+12105550123` for 12105550123; None for 0."""
    return f"+{number}" if number else None


@lru_cache(maxsize=65_536)
def national_form(number: int) -> str | None:
    """`(210) 555-0123` for 12105550123, as the number's own country writes it; None where no country does."""
    if not number:
        return None
    try:
        parsed = phonenumbers.parse(f"+{number}")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL))
