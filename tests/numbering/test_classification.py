"""Country, line and call type: libphonenumber's own published example numbers, and columns of them."""

from __future__ import annotations

import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType

from ringfence.errors import InvalidInputError
from ringfence.numbering.classification import Classifier, call_type, call_types, facts_of, region_of
from ringfence.numbering.countries import country_id, country_of
from ringfence.vocabulary import CallType, LineType, NumberClass

EXAMPLES = [
    (region, kind, int(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[1:]))
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    for kind in PhoneNumberType.values()
    if (example := phonenumbers.example_number_for_type(region, kind)) is not None
]


def test_agrees_with_libphonenumber_on_each_of_its_example_numbers() -> None:
    assert len(EXAMPLES) > 1000
    for region, _, number in EXAMPLES:
        parsed = phonenumbers.parse(f"+{number}")
        facts = facts_of(number)
        assert facts.is_assigned, number
        assert facts.country == phonenumbers.region_code_for_number(parsed), (region, number)
        assert facts.line.name.split("_")[0] in PhoneNumberType.to_string(phonenumbers.number_type(parsed)) or (
            facts.line in (LineType.UNIVERSAL, LineType.PREMIUM)
        )


@pytest.mark.parametrize(
    ("number", "number_class", "country", "expected"),
    [
        (12105550123, NumberClass.NUMBER, "US", CallType.NATIONAL),
        (442079460101, NumberClass.NUMBER, "US", CallType.INTERNATIONAL),
        (442079460101, NumberClass.NUMBER, "GB", CallType.NATIONAL),
        (447400123456, NumberClass.NUMBER, "GB", CallType.MOBILE),
        (447400123456, NumberClass.NUMBER, "US", CallType.INTERNATIONAL),
        (19002345678, NumberClass.NUMBER, "US", CallType.PREMIUM),
        (18002345678, NumberClass.NUMBER, "US", CallType.TOLL_FREE),
        (80012345678, NumberClass.NUMBER, "US", CallType.TOLL_FREE),  # +800, of no country
        (14165550123, NumberClass.NUMBER, "US", CallType.INTERNATIONAL),  # Canada, though of country code 1
        (0, NumberClass.EXTENSION, "US", CallType.INTERNAL),
        (0, NumberClass.EMERGENCY, "US", CallType.EMERGENCY),
        (0, NumberClass.SHORT_CODE, "US", CallType.SERVICE),
        (0, NumberClass.ANONYMOUS, "US", CallType.UNKNOWN),
        (999999999999999, NumberClass.NUMBER, "US", CallType.UNKNOWN),
    ],
)
def test_tells_the_type_of_a_call(number: int, number_class: NumberClass, country: str, expected: CallType) -> None:
    assert call_type(number, number_class, facts_of(number), country) is expected


def test_a_number_outside_every_range_keeps_the_country_that_it_claims() -> None:
    facts = facts_of(12101110000)  # no area has an exchange 111
    assert (facts.country, facts.line, facts.is_assigned) == ("US", LineType.UNKNOWN, False)


def test_names_the_place() -> None:
    assert region_of(12102263232) == "San Antonio, TX"
    assert region_of(0) == ""


ROWS = st.tuples(
    st.sampled_from([0, 999, *(number for _, _, number in EXAMPLES[::37])]),
    st.sampled_from(list(NumberClass)),
)


@given(st.lists(ROWS), st.sampled_from(["US", "GB", "DE"]), st.integers(1, 10))
def test_a_column_is_classified_as_each_of_its_numbers_is(
    rows: list[tuple[int, NumberClass]], country: str, max_known: int
) -> None:
    classifier = Classifier(max_known)
    numbers = pa.array([number for number, _ in rows], pa.int64())
    classes = pa.array([int(number_class) for _, number_class in rows], pa.int16())
    for _ in range(2):  # cold, then warm
        countries, lines = classifier.facts(numbers)
        types = call_types(numbers, classes, countries, lines, country)
        by_class = {NumberClass.EMERGENCY, NumberClass.EXTENSION, NumberClass.SHORT_CODE}
        assert types.to_pylist() == [
            int(call_type(number, kind if kind in by_class else NumberClass.NUMBER, facts_of(number), country))
            for number, kind in rows
        ]
        assert [country_of(code or 0) for code in countries.to_pylist()] == [
            facts_of(number).country for number, _ in rows
        ]
        assert lines.to_pylist() == [int(facts_of(number).line) for number, _ in rows]


def test_every_country_is_stored_as_a_number_of_its_own() -> None:
    codes = ["", "001", *sorted(phonenumbers.SUPPORTED_REGIONS)]
    assert [country_of(country_id(code)) for code in codes] == codes
    assert len({country_id(code) for code in codes}) == len(codes)
    assert all(0 <= country_id(code) < 2**15 >> 4 for code in codes)


@pytest.mark.parametrize("code", ["us", "U", "USA", "É1", "12"])
def test_what_is_no_country_is_refused(code: str) -> None:
    with pytest.raises(InvalidInputError, match="country"):
        country_id(code)
