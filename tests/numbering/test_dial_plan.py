"""Dial plans of countries, from libphonenumber's metadata."""

from __future__ import annotations

import pytest
from phonenumbers import SUPPORTED_REGIONS

from ringfence.errors import InvalidInputError
from ringfence.numbering.dial_plan import dial_plan_of


@pytest.mark.parametrize(
    ("country", "code", "national", "international", "emergency"),
    [
        ("US", "1", "1", {"011"}, {"911", "112", "988"}),
        ("DE", "49", "0", {"00"}, {"110", "112"}),
        ("GB", "44", "0", {"00"}, {"999", "112"}),
        ("IT", "39", "", {"00"}, {"112", "113", "115", "118"}),
        ("RU", "7", "8", {"810"}, {"112", "101", "02"}),
        ("AU", "61", "0", {"0011", "0014"}, {"000", "106", "112"}),
        ("FI", "358", "0", {"00", "990", "99511"}, {"112"}),
    ],
)
def test_prefixes_and_emergency_numbers(
    country: str, code: str, national: str, international: set[str], emergency: set[str]
) -> None:
    plan = dial_plan_of(country)
    assert (plan.country_code, plan.national_prefix) == (code, national)
    assert international <= set(plan.international_prefixes)
    assert emergency <= set(plan.emergency)


def test_every_country_has_a_plan_that_reaches_help() -> None:
    for country in SUPPORTED_REGIONS:
        plan = dial_plan_of(country)
        assert "112" in plan.emergency
        assert plan.international_prefixes, country
        assert plan.national_lengths, country
        assert all(prefix.isdigit() for prefix in plan.international_prefixes)


@pytest.mark.parametrize("country", ["", "us", "XX", "USA"])
def test_an_unknown_country_is_refused(country: str) -> None:
    with pytest.raises(InvalidInputError, match="country"):
        dial_plan_of(country)
