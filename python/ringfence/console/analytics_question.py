"""The state of the Analytics page: what its fields say, as it stands in the address and in saved views. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ringfence.analytics.asking import COMPARISONS, filter_words, parse_filter
from ringfence.analytics.filters import EventFilter, filters_of
from ringfence.analytics.views import GROUPINGS, VIEWS, AnalyticsQuery
from ringfence.console.address import TimeRange, link
from ringfence.console.frame import Query
from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Dataset

LENGTHS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "15_minutes": timedelta(minutes=15),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
}


@dataclass(frozen=True)
class Question:
    """What the fields and the time say."""

    dataset: Dataset
    view: str
    grouping: str
    device: str | None
    time: TimeRange
    compare: str | None = None
    filter: EventFilter = field(default_factory=EventFilter)

    @classmethod
    def from_query(cls, query: Query) -> Question:
        """Read the query parameters. InvalidInputError names one that makes no sense."""
        datasets = {dataset.word: dataset for dataset in Dataset}
        return cls(
            datasets[_one_of("dataset", query.get("dataset", "enum"), tuple(datasets))],
            _one_of("view", query.get("view", "average_cps"), tuple(VIEWS)),
            _one_of("grouping", query.get("grouping", "hour"), GROUPINGS),
            query.get("device") or None,
            TimeRange.from_query(query, "24h"),
            _one_of("compare", query["compare"], tuple(COMPARISONS)) if query.get("compare") else None,
            parse_filter(query),
        ).fitting()

    def fitting(self) -> Question:
        """Without what the dataset does not have: another view and filters in place of those that are the other's."""
        view = VIEWS[self.view]
        known = filters_of(self.dataset)
        words = {name: word for name, word in filter_words(self.filter).items() if name in known}
        shown = self.view if self.dataset in view.datasets else "calls"
        return replace(self, view=shown, filter=parse_filter(words))

    @property
    def words(self) -> dict[str, str | None]:
        """Everything, as parameters of the address and of the API."""
        return {
            "dataset": self.dataset.word,
            "view": self.view,
            "grouping": self.grouping,
            "device": self.device,
            "compare": self.compare,
            **filter_words(self.filter),
        }

    @property
    def address(self) -> str:
        """The page in this state."""
        return link("/analytics", self.words | self.time.as_query())

    def query(self, now: datetime, zone: str) -> AnalyticsQuery:
        """What to ask the domain."""
        start, end = self.time.bounds(now)
        return AnalyticsQuery(
            self.dataset, self.view, self.grouping, self.device, start, end, zone=zone, filter=self.filter
        )


def coarser(grouping: str, period: timedelta, most: int) -> str:
    """The next grouping whose buckets are few enough."""
    names = list(LENGTHS)
    for name in names[names.index(grouping) + 1 :]:
        if period / LENGTHS[name] <= most:
            return name
    return "period"


def _one_of(name: str, value: str, words: tuple[str, ...]) -> str:
    if value not in words:
        raise InvalidInputError(f"{name}: no such {name} {value!r}; use one of {', '.join(words)}")
    return value
