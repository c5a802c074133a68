"""Calls counted over time: dataset, view, grouping, device."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from ringfence.analytics.views import GROUPINGS, MAX_LIMIT, VIEWS, AnalyticsQuery, run_query
from ringfence.analytics.words import parse_dataset
from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Viewer
from ringfence.vocabulary import Dataset

router = APIRouter(prefix="/analytics", tags=["analytics"])

_DEFAULT_PERIOD = timedelta(hours=24)


class ViewChoice(BaseModel):
    """A view that can be asked for; `columns` are those of dataset ENUM."""

    id: str
    title: str
    unit: str
    columns: list[str]
    columns_of: dict[str, list[str]]


class Choices(BaseModel):
    """What a query can be made of."""

    datasets: list[str]
    views: list[ViewChoice]
    groupings: list[str]


class Answer(BaseModel):
    """Rows of a view; the period is widened to whole minutes, a row's first value is its bucket's start (UTC)."""

    dataset: str
    view: str
    unit: str
    grouping: str
    device: str | None
    zone: str
    start: datetime
    end: datetime
    columns: list[str]
    rows: list[list[Any]]


@router.get("/views")
def list_views(identity: Viewer) -> Choices:
    """The datasets, views and groupings there are."""
    views = [
        ViewChoice(
            id=view.id,
            title=view.title,
            unit=view.unit,
            columns=list(view.columns),
            columns_of={dataset.word: list(view.columns_of(dataset)) for dataset in Dataset},
        )
        for view in VIEWS.values()
    ]
    return Choices(datasets=[dataset.word for dataset in Dataset], views=views, groupings=list(GROUPINGS))


@router.get("")
def analytics(
    identity: Viewer,
    database: CurrentDatabase,
    view: Annotated[str, Query(max_length=64)],
    dataset: Annotated[str, Query(max_length=32)] = Dataset.ENUM.word,
    grouping: Annotated[str, Query(max_length=32)] = "hour",
    device: Annotated[str | None, Query(max_length=64, description="absent: all devices")] = None,
    start: Annotated[datetime | None, Query(description="absent: 24 hours before end")] = None,
    end: Annotated[datetime | None, Query(description="absent: now")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="ranks of each bucket in a top view")] = 10,
    zone: Annotated[str, Query(max_length=64, description="time zone of hours and days")] = "UTC",
) -> Answer:
    """Answer a view."""
    end = end or datetime.now(UTC)
    query = AnalyticsQuery(
        parse_dataset(dataset), view, grouping, device, start or end - _DEFAULT_PERIOD, end, limit, zone
    )
    with database.connection() as connection:
        return Answer(**run_query(connection, query).as_json())
