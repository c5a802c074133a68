"""Questions as they travel in addresses, requests and saved views: plain words by name → filters and queries. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ringfence.analytics.filters import FILTERS, EventFilter
from ringfence.analytics.question import AnalyticsQuery
from ringfence.analytics.words import one_of
from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Action, Attestation, CallResult, CallSide, CallType, Direction

_KINDS: dict[str, type[Direction | Action | CallResult | CallType | CallSide | Attestation]] = {
    "direction": Direction,
    "action": Action,
    "result": CallResult,
    "call_type": CallType,
    "released_by": CallSide,
    "attestation": Attestation,
}
# Words of each filter that has a fixed set of them, in their order.
FILTER_WORDS: dict[str, tuple[str, ...]] = {name: tuple(one.word for one in kind) for name, kind in _KINDS.items()}

# With which earlier period a view is compared, and how much earlier that is; None: as long as the period itself.
COMPARISONS: dict[str, timedelta | None] = {
    "previous": None,
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "four_weeks": timedelta(days=28),
}


def parse_filter(words: Mapping[str, Any]) -> EventFilter:
    """The filter that words say; what is None or empty says nothing. InvalidInputError names the field."""
    return EventFilter(**{name: _value(name, str(words[name])) for name in FILTERS if words.get(name)})


def filter_words(wanted: EventFilter) -> dict[str, str]:
    """The words that `parse_filter` reads back."""
    return {name: str(value) for name, value in wanted.as_json().items()}


def shifted(query: AnalyticsQuery, against: str) -> AnalyticsQuery:
    """The same question about the earlier period. InvalidInputError when `against` is no comparison."""
    earlier = COMPARISONS[one_of("compare", against, tuple(COMPARISONS))] or query.end - query.start
    return replace(query, start=query.start - earlier, end=query.end - earlier)


def _value(name: str, text: str) -> Any:
    if name in _KINDS:
        return _KINDS[name][one_of(name, text, FILTER_WORDS[name]).upper()]
    if name == "code":
        if not (text.isascii() and text.isdigit() and len(text) <= 3):
            raise InvalidInputError(
                f"code: {text!r} is not a response code, must be a number such as 486, or 3 for NXDOMAIN"
            )
        return int(text)
    return text
