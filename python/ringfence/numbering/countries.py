"""Countries as rows hold them: a small integer for each ISO 3166 code. Pure; part of stored rows, never renumber.

0 is unknown, `001` (numbers of no country, as +800) is 1000, two letters are 1 + 26 × first + second with A = 0.
"""

from __future__ import annotations

from ringfence.errors import InvalidInputError

NO_COUNTRY = "001"
_NO_COUNTRY_ID = 1000


def country_id(code: str) -> int:
    """The stored number of an ISO 3166 code; empty for unknown. InvalidInputError for what is none."""
    if not code:
        return 0
    if code == NO_COUNTRY:
        return _NO_COUNTRY_ID
    if len(code) != 2 or not (code.isascii() and code.isalpha() and code.isupper()):
        raise InvalidInputError(
            f"country: {code!r} is not an ISO 3166 code; expected two capitals such as 'US', or 001 for no country"
        )
    return 1 + 26 * (ord(code[0]) - ord("A")) + ord(code[1]) - ord("A")


def country_of(number: int) -> str:
    """The code of a stored number; empty for unknown."""
    if number == _NO_COUNTRY_ID:
        return NO_COUNTRY
    if not 1 <= number <= 26 * 26:
        return ""
    first, second = divmod(number - 1, 26)
    return chr(ord("A") + first) + chr(ord("A") + second)
