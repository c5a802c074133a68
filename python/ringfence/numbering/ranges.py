"""Ranges that people know: whole countries, toll-free numbers; from libphonenumber's metadata, as patterns."""

from __future__ import annotations

import re
from functools import cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

# What stands behind the first digits of a national number when a description is tried out.
_FILLS = ("2222222222", "5550100000", "0000000000", "1234567890", "8888888888")
_DIGITS_TRIED = 3


@cache
def countries_under(pattern: str) -> tuple[str, ...]:
    """`country code 44 (GB, GG, IM, JE)` for each country that is wholly under a prefix; else nothing."""
    match = re.fullmatch(r"\+([1-9][0-9]{0,2})\*", pattern)
    if match is None:
        return ()
    return tuple(
        f"country code {code} ({', '.join(regions[:4])}{', …' if len(regions) > 4 else ''})"
        for code, regions in sorted(COUNTRY_CODE_TO_REGION_CODE.items())
        if str(code).startswith(match[1]) and regions != ("001",)
    )


@cache
def toll_free_patterns(country: str) -> tuple[str, ...]:
    """Prefixes of a country's toll-free numbers, three national digits each; nothing where there are none."""
    metadata = PhoneMetadata.metadata_for_region(country)
    if metadata is None or metadata.toll_free is None or not metadata.toll_free.national_number_pattern:
        return ()
    compiled = re.compile(metadata.toll_free.national_number_pattern)
    lengths = (
        metadata.toll_free.possible_length or (metadata.general_desc and metadata.general_desc.possible_length) or ()
    )
    found = [
        f"+{metadata.country_code}{first:03d}*"
        for first in range(10**_DIGITS_TRIED)
        if any(
            compiled.fullmatch(f"{first:03d}{fill}"[:length])
            for length in lengths
            if length > _DIGITS_TRIED
            for fill in _FILLS
        )
    ]
    return tuple(found)
