"""What a number is: its country, its line, and what a call to it costs and means. From libphonenumber's metadata.

Pure. A column of numbers is classified at a time: each distinct number once, and what was seen stays known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
from phonenumbers import PhoneNumberType

from ringfence.numbering.countries import country_id
from ringfence.vocabulary import CallType, LineType, NumberClass

# About 150 octets each. The busiest networks see a few million different numbers a day.
MAX_KNOWN = 2_000_000

Column: TypeAlias = "pa.Array[Any]"
compute: Any = pc

_NOTHING = pa.scalar(0, pa.int16())
_NO_NUMBER = pa.scalar(0, pa.int64())
_LINE_BITS = pa.scalar(4, pa.int32())
_LINE_MASK = pa.scalar(15, pa.int32())

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
    # Every place of the world: the better part of a second and of a hundred megabytes, for a page that few ask for.
    from phonenumbers import geocoder

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
    """Tells country and line of columns of numbers; what was seen stays known, whoever asks. For any number of threads.

    A number's facts are kept as one integer, country × 16 + line (`numbering.countries`, LineType).
    """

    def __init__(self, max_known: int = MAX_KNOWN) -> None:
        self._max_known = max_known
        self._known: dict[int, int] = {}

    def facts(self, numbers: Column) -> tuple[Column, Column]:
        """(country int16, line int16) of int64 numbers; 0 is no number."""
        distinct = compute.dictionary_encode(numbers)
        facts = pa.array(self._of_distinct(distinct.dictionary.to_pylist()), pa.int32())
        packed = compute.take(facts, distinct.indices)
        country = compute.shift_right(packed, _LINE_BITS)
        return country.cast(pa.int16()), compute.bit_wise_and(packed, _LINE_MASK).cast(pa.int16())

    def _of_distinct(self, numbers: list[int]) -> list[int]:
        known = self._known
        try:
            return [known[number] for number in numbers]
        except KeyError:
            pass
        if len(known) + len(numbers) > self._max_known:
            known = self._known = {}
        # Another thread may have begun afresh meanwhile; this one keeps to the dictionary that it fills.
        for number in numbers:
            if number not in known:
                facts = facts_of(number)
                known[number] = country_id(facts.country) << 4 | int(facts.line)
        return [known[number] for number in numbers]


def call_types(numbers: Column, classes: Column, countries: Column, lines: Column, country: str) -> Column:
    """`call_type` of a column: int64 numbers, int16 classes, and their facts; int16."""
    at_home = pa.scalar(country_id(country), pa.int16())
    is_foreign = compute.and_(compute.not_equal(countries, _NOTHING), compute.not_equal(countries, at_home))
    is_mobile = compute.equal(lines, _short(LineType.MOBILE))
    domestic = compute.if_else(is_mobile, _short(CallType.MOBILE), _short(CallType.NATIONAL))
    found = compute.if_else(is_foreign, _short(CallType.INTERNATIONAL), domestic)
    found = compute.if_else(compute.equal(countries, _NOTHING), _short(CallType.UNKNOWN), found)
    for line, kind in _BY_LINE.items():
        found = compute.if_else(compute.equal(lines, _short(line)), _short(kind), found)
    found = compute.if_else(compute.equal(numbers, _NO_NUMBER), _short(CallType.UNKNOWN), found)
    for number_class, kind in _BY_CLASS.items():
        found = compute.if_else(compute.equal(classes, _short(number_class)), _short(kind), found)
    return found  # type: ignore[no-any-return]


@cache
def _short(value: int) -> Any:
    return pa.scalar(int(value), pa.int16())


def _parsed(number: int) -> phonenumbers.PhoneNumber | None:
    if not number:
        return None
    try:
        return phonenumbers.parse(f"+{number}")
    except phonenumbers.NumberParseException:
        return None
