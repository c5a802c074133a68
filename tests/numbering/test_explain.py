"""The dial-plan tester: what a site makes of a number, and why; the same through API and CLI."""

from __future__ import annotations

import pytest

from ringfence.numbering.dial_plan import Site
from ringfence.numbering.explain import explain_number

HQ = Site("hq", "US", ("+12105550000-+12105559999",), extension_lengths=(4,), local_prefix="210", local_lengths=(7,))


@pytest.mark.parametrize(
    ("given", "number", "rule", "is_own", "kind"),
    [
        ("(212) 555-0100", "+12125550100", "national", False, "national"),
        ("12105550123", "+12105550123", "national_prefix", True, "national"),
        ("555-0123", "+12105550123", "local", True, "national"),
        ("011 44 20 7946 0101", "+442079460101", "international_prefix", False, "international"),
        ("sip:+18002345678@pbx.example;user=phone", "+18002345678", "global", False, "toll_free"),
        ("4711", None, "extension", True, "internal"),
        ("911", None, "protected", False, "emergency"),
        ("sip:anonymous@anonymous.invalid", None, "withheld", False, "unknown"),
    ],
)
def test_reads_a_number_as_the_site_does(given: str, number: str | None, rule: str, is_own: bool, kind: str) -> None:
    reading = explain_number(given, HQ)
    assert (reading.number, reading.rule, reading.is_own, reading.call_type) == (number, rule, is_own, kind)


def test_says_why_in_words() -> None:
    assert explain_number("011442079460101", HQ).why == "behind the international prefix 011"
    assert explain_number("5550123", HQ).why == "as long as a local number, so +1210 stands before it"
    assert explain_number("911", HQ).why == "a number that US must always be able to reach"
    assert explain_number("00442079460101", Site("london", "GB")).why == "behind the international prefix 00"
