"""The dial plan of a country, from libphonenumber's metadata, in the form that the compiled policy carries.

libphonenumber describes prefixes as regular expressions; the data plane matches literal digits. The expressions
are finite and short, so they are written out here once per country.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, TypeVar

from phonenumbers import SUPPORTED_REGIONS, PhoneMetadata

from ringfence.errors import InvalidInputError

# Longer international prefixes exist only as carrier overrides for single calls (Australia's 1411…0011).
_LONGEST_PREFIX = 5
# GSM and every mobile network take 112 wherever they are (3GPP TS 22.101 section 10.1).
_EMERGENCY_EVERYWHERE = ("112",)
# Life lines that the law puts beside the emergency number but libphonenumber does not list (47 CFR 52.200).
_LIFE_LINES = {"US": ("988",), "CA": ("988",)}

T = TypeVar("T")


@dataclass(frozen=True)
class DialPlan:
    """How numbers without `+` are written in a country."""

    country: str
    country_code: str
    national_prefix: str
    international_prefixes: tuple[str, ...]
    national_lengths: tuple[int, ...]
    emergency: tuple[str, ...]


@dataclass(frozen=True)
class Site:
    """A place with its own numbers: `own_ranges` are patterns, and decide a call's direction.

    What follows the ranges is what its exchange does otherwise than its country; None: as the country.
    """

    name: str
    country: str
    own_ranges: tuple[str, ...] = ()
    national_prefix: str | None = None
    international_prefixes: tuple[str, ...] | None = None
    national_lengths: tuple[int, ...] | None = None
    local_prefix: str = ""
    local_lengths: tuple[int, ...] = ()
    extension_lengths: tuple[int, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """The site as it stands in the policy document (docs/contracts.md 4)."""
        plan = dial_plan_of(self.country)
        return {
            "country": plan.country,
            "country_code": plan.country_code,
            "national_prefix": _or(self.national_prefix, plan.national_prefix),
            "international_prefixes": list(_or(self.international_prefixes, plan.international_prefixes)),
            "national_lengths": list(_or(self.national_lengths, plan.national_lengths)),
            "local_prefix": self.local_prefix,
            "local_lengths": list(self.local_lengths),
            "extension_lengths": list(self.extension_lengths),
            "own_ranges": list(self.own_ranges),
        }

    def as_json(self) -> dict[str, Any]:
        """Name, country, ranges, and of the rest what differs from the country's."""
        return {
            field.name: list(value) if isinstance(value, tuple) else value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default or field.name == "own_ranges"
        }


def site_from(values: Mapping[str, Any]) -> Site:
    """The site that `as_json` wrote."""
    fields_of: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return Site(**fields_of)


@cache
def dial_plan_of(country: str) -> DialPlan:
    """The plan of an ISO 3166 country. InvalidInputError when libphonenumber does not know it."""
    if country not in SUPPORTED_REGIONS:
        raise InvalidInputError(
            f"country: {country!r} is not known; expected an ISO 3166 code of two capitals such as 'US'",
            code="invalid.country",
        )
    metadata = PhoneMetadata.metadata_for_region(country)
    assert metadata is not None and metadata.general_desc is not None  # noqa: S101, PT018 - of every supported region
    return DialPlan(
        country=country,
        country_code=str(metadata.country_code),
        national_prefix=_digits(metadata.national_prefix),
        international_prefixes=_international_prefixes(metadata),
        national_lengths=tuple(sorted(metadata.general_desc.possible_length)),
        emergency=_emergency_numbers(country),
    )


def _international_prefixes(metadata: PhoneMetadata) -> tuple[str, ...]:
    # "8~10" says: wait for a second dial tone after the 8. On the wire there is none.
    pattern = metadata.international_prefix or ""
    written_out = set(_numbers_of(pattern, tuple(range(1, _LONGEST_PREFIX + 1))))
    preferred = _digits(metadata.preferred_international_prefix)
    return tuple(sorted(written_out | ({preferred} - {""})))


def _emergency_numbers(country: str) -> tuple[str, ...]:
    numbers: set[str] = set()
    metadata = PhoneMetadata.short_metadata_for_region(country)
    if metadata is not None and metadata.general_desc is not None and metadata.emergency is not None:
        # Without its own lengths a description has those of the country's short numbers.
        lengths = metadata.emergency.possible_length or metadata.general_desc.possible_length
        numbers.update(_numbers_of(metadata.emergency.national_number_pattern or "", tuple(lengths)))
    return tuple(sorted(numbers.union(_EMERGENCY_EVERYWHERE, _LIFE_LINES.get(country, ()))))


@cache
def _numbers_of(pattern: str, lengths: tuple[int, ...]) -> tuple[str, ...]:
    """Every string of digits of these lengths that the whole pattern matches."""
    if not pattern:
        return ()
    if pattern.isdigit():
        return (pattern,)
    compiled = re.compile(pattern)
    return tuple(
        digits
        for length in lengths
        for digits in (f"{value:0{length}d}" for value in range(10**length))
        if compiled.fullmatch(digits)
    )


def _digits(text: str | None) -> str:
    return re.sub(r"\D", "", text or "")


def _or(value: T | None, default: T) -> T:
    return default if value is None else value
