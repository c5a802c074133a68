"""What a number is: its country, its line, and what a call to it costs and means. From libphonenumber's metadata.

Pure. A column of numbers is classified at a time: each distinct number once, and what was seen stays known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
from phonenumbers import PhoneNumberType, geocoder

from ringfence.vocabulary import CallType, LineType, NumberClass

# About 250 octets each. The busiest networks see a few million different numbers a day.
MAX_KNOWN = 1_000_000

Column: TypeAlias = "pa.Array[Any]"
compute: Any = pc

_LINES = {
    PhoneNumberType.FIXED_LINE: LineType.FIXED,
    PhoneNumberType.MOBILE: LineType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: LineType.FIXED_OR_MOBILE,
    PhoneNumberType.TOLL_FREE: LineType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE: LineType.PREMIUM,
    PhoneNumberType.SHARED_COST: LineType.SHARED_COST,
    PhoneNumberType.VOIP: LineType.VOIP,
    PhoneNumberType.PERSONAL_NUMBER: LineType.PERSONAL,
    PhoneNumberType.PAGER: LineType.PAGER,
    PhoneNumberType.UAN: LineType.UNIVERSAL,
    PhoneNumberType.VOICEMAIL: LineType.VOICEMAIL,
}
# Whatever the country: what the line is says more about the call than where it ends.
_BY_LINE = {
    LineType.TOLL_FREE: CallType.TOLL_FREE,
    LineType.PREMIUM: CallType.PREMIUM,
    LineType.SHARED_COST: CallType.SHARED_COST,
}
_BY_CLASS = {
    NumberClass.EMERGENCY: CallType.EMERGENCY,
    NumberClass.EXTENSION: CallType.INTERNAL,
    NumberClass.SHORT_CODE: CallType.SERVICE,
}


@dataclass(frozen=True, slots=True)
class NumberFacts:
    """What is known about a number without asking anybody. `country` is ISO 3166, `001` for none, empty for unknown."""

    country: str
    line: LineType

    @property
    def is_assigned(self) -> bool:
        """Whether it lies in a range that its country has assigned."""
        return self.line is not LineType.UNKNOWN


UNKNOWN = NumberFacts("", LineType.UNKNOWN)


def facts_of(number: int) -> NumberFacts:
    """Country and line of E.164 digits; 0 is no number."""
    parsed = _parsed(number)
    if parsed is None:
        return UNKNOWN
    # A number outside every assigned range still says by its first digits which country it claims.
    country = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(
        parsed.country_code or 0
    )
    line = _LINES.get(phonenumbers.number_type(parsed), LineType.UNKNOWN)
    return NumberFacts("" if country == phonenumbers.UNKNOWN_REGION else country, line)


def region_of(number: int) -> str:
    """Place in English, such as `San Antonio, TX`, as far as the number tells; else empty."""
    parsed = _parsed(number)
    return str(geocoder.description_for_number(parsed, "en")) if parsed is not None else ""


def call_type(number: int, number_class: NumberClass, facts: NumberFacts, country: str) -> CallType:
    """What kind of call one to this destination is from a site in `country`."""
    if number_class in _BY_CLASS:
        return _BY_CLASS[number_class]
    if not number:
        return CallType.UNKNOWN
    if facts.line in _BY_LINE:
        return _BY_LINE[facts.line]
    if facts.country and facts.country != country:
        return CallType.INTERNATIONAL
    if facts.line is LineType.MOBILE:
        return CallType.MOBILE
    return CallType.NATIONAL if facts.country else CallType.UNKNOWN


class Classifier:
    """Classifies the destinations of a site's calls, a column at a time. For one thread."""

    def __init__(self, country: str, max_known: int = MAX_KNOWN) -> None:
        self._country = country
        self._max_known = max_known
        self._known: dict[int, tuple[int, str]] = {}

    def classify(self, numbers: Column, classes: Column) -> tuple[Column, Column]:
        """(call type int16, ISO country as dictionary of utf8) of int64 numbers and int16 number classes."""
        distinct = compute.dictionary_encode(numbers)
        types, countries = self._of_distinct(distinct.dictionary.to_pylist())
        by_number = compute.take(pa.array(types, pa.int16()), distinct.indices)
        for number_class, kind in _BY_CLASS.items():
            is_class = compute.equal(classes, pa.scalar(int(number_class), pa.int16()))
            by_number = compute.if_else(is_class, pa.scalar(int(kind), pa.int16()), by_number)
        return by_number, compute.take(pa.array(countries, pa.utf8()).dictionary_encode(), distinct.indices)

    def _of_distinct(self, numbers: list[int]) -> tuple[list[int], list[str]]:
        known = self._known
        missing = [number for number in numbers if number not in known]
        if len(known) + len(missing) > self._max_known:
            known.clear()
            missing = numbers
        for number in missing:
            facts = facts_of(number)
            known[number] = (int(call_type(number, NumberClass.NUMBER, facts, self._country)), facts.country)
        pairs = [known[number] for number in numbers]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _parsed(number: int) -> phonenumbers.PhoneNumber | None:
    if not number:
        return None
    try:
        return phonenumbers.parse(f"+{number}")
    except phonenumbers.NumberParseException:
        return None
