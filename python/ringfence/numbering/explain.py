"""How a site reads a number: the dial-plan tester of console, API and CLI. Pure.

The reading is the data plane's own (`ringfence._native.DialPlan`), so that what is shown here is what a rule matches.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ringfence._native import DialPlan
from ringfence.numbering.classification import call_type, facts_of, region_of
from ringfence.numbering.dial_plan import Site, dial_plan_of
from ringfence.numbering.display import e164, national_form
from ringfence.vocabulary import NumberClass

_WHY = {
    "absent": "nothing was given",
    "withheld": "a word or host that stands for a withheld number",
    "not_digits": "neither digits nor a word that is known",
    "protected": "a number that {country} must always be able to reach",
    "global": "given in full",
    "extension": "as long as an extension of the site",
    "national": "as long as a national number, so country code {country_code} stands before it",
    "local": "as long as a local number, so +{country_code}{local_prefix} stands before it",
    "country_code": "country code {country_code} and a national number, without plus",
    "short_code": "too few digits for a number: a service code",
    "whole": "no rule of the plan fits, so the digits are taken as a whole number",
}


@dataclass(frozen=True)
class NumberReading:
    """A number as a site reads it: words for people, and what a rule, a report and a bill go by."""

    site: str
    given: str
    number: str | None
    national: str | None
    number_class: str
    rule: str
    why: str
    is_own: bool
    country: str
    region: str
    line: str
    call_type: str

    def as_json(self) -> dict[str, Any]:
        """Field by field."""
        return asdict(self)


def explain_number(text: str, site: Site) -> NumberReading:
    """Read `text`, a number in any form or a URI, as `site` does. InvalidInputError for a site that is none."""
    document = site.as_document()
    plan = DialPlan(json.dumps(document), list(dial_plan_of(site.country).emergency))
    number, class_number, rule, is_own = plan.read(text.strip())
    number_class, facts = NumberClass(class_number), facts_of(number)
    return NumberReading(
        site=site.name,
        given=text,
        number=e164(number),
        national=national_form(number),
        number_class=number_class.word,
        rule=rule,
        why=_why(rule, text, document),
        is_own=is_own,
        country=facts.country,
        region=region_of(number),
        line=facts.line.word,
        call_type=call_type(number, number_class, facts, site.country).word,
    )


def _why(rule: str, text: str, document: dict[str, Any]) -> str:
    if rule == "international_prefix":
        digits = "".join(filter(str.isdigit, text))
        # A URI may bring digits of its own before the number's; then the plan's prefixes are named.
        prefixes = [prefix for prefix in document["international_prefixes"] if digits.startswith(prefix)]
        return f"behind the international prefix {' or '.join(prefixes or document['international_prefixes'])}"
    if rule == "national_prefix":
        return f"behind the national prefix {document['national_prefix']}"
    return _WHY[rule].format(**document)
