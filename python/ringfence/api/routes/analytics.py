"""Calls counted over time: dataset, view, grouping, device."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from starlette.responses import Response

from ringfence.analytics.asking import COMPARISONS, FILTER_WORDS, shifted
from ringfence.analytics.export import as_table, parquet
from ringfence.analytics.views import GROUPINGS, MAX_LIMIT, VIEWS, AnalyticsQuery, filters_of, run_query
from ringfence.analytics.words import parse_dataset
from ringfence.api.context import CurrentDatabase
from ringfence.api.event_filter import WantedEvents
from ringfence.api.security import SiteViewer
from ringfence.api.spreadsheet import csv_line
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
    datasets: list[str]
    chart: str


class Choices(BaseModel):
    """What a query can be made of."""

    datasets: list[str]
    views: list[ViewChoice]
    groupings: list[str]
    filters: dict[str, list[str]]
    filter_words: dict[str, list[str]]
    comparisons: list[str]


class Answer(BaseModel):
    """Rows of a view; the period is widened to whole minutes. A row's first value is its bucket's start (UTC), or with
    grouping `hour_of_week` the hour, 0 for Monday from midnight. null is "no figure", as a share of nothing. Calls of
    `lost_days` (UTC) would have had to be counted and are kept no more."""

    dataset: str
    view: str
    unit: str
    grouping: str
    device: str | None
    filter: dict[str, Any]
    zone: str
    start: datetime
    end: datetime
    lost_days: list[date]
    columns: list[str]
    rows: list[list[Any]]


class ComparedAnswer(Answer):
    """An answer, and the same question about the earlier period that was asked for."""

    compared: Answer | None = None


def _query(
    view: Annotated[str, Query(max_length=64)],
    wanted: WantedEvents,
    dataset: Annotated[str, Query(max_length=32)] = Dataset.ENUM.word,
    grouping: Annotated[str, Query(max_length=32)] = "hour",
    device: Annotated[str | None, Query(max_length=64, description="absent: all devices")] = None,
    start: Annotated[datetime | None, Query(description="absent: 24 hours before end")] = None,
    end: Annotated[datetime | None, Query(description="absent: now")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="ranks of each bucket in a top view")] = 10,
    zone: Annotated[str, Query(max_length=64, description="time zone of hours, days and weeks")] = "UTC",
) -> AnalyticsQuery:
    end = end or datetime.now(UTC)
    start = start or end - _DEFAULT_PERIOD
    return AnalyticsQuery(parse_dataset(dataset), view, grouping, device, start, end, limit, zone, wanted)


Asked = Annotated[AnalyticsQuery, Depends(_query)]


@router.get("/views")
def list_views(identity: SiteViewer) -> Choices:
    """The datasets, views and groupings there are."""
    views = [
        ViewChoice(
            id=view.id,
            title=view.title,
            unit=view.unit,
            columns=list(view.columns),
            columns_of={dataset.word: list(view.columns_of(dataset)) for dataset in Dataset},
            datasets=[dataset.word for dataset in view.datasets],
            chart=view.chart,
        )
        for view in VIEWS.values()
    ]
    return Choices(
        datasets=[dataset.word for dataset in Dataset],
        views=views,
        groupings=list(GROUPINGS),
        filters={dataset.word: list(filters_of(dataset)) for dataset in Dataset},
        filter_words={name: list(words) for name, words in FILTER_WORDS.items()},
        comparisons=list(COMPARISONS),
    )


@router.get("")
def analytics(
    identity: SiteViewer,
    database: CurrentDatabase,
    query: Asked,
    compare: Annotated[
        str | None, Query(max_length=16, description=f"with an earlier period: {', '.join(COMPARISONS)}")
    ] = None,
) -> ComparedAnswer:
    """Answer a view."""
    with database.connection() as connection:
        answer = run_query(connection, query).as_json()
        earlier = run_query(connection, shifted(query, compare)).as_json() if compare is not None else None
    return ComparedAnswer(**answer, compared=Answer(**earlier) if earlier is not None else None)


@router.get(
    "/export",
    response_class=Response,
    responses={
        200: {"content": {"text/csv": {}, "application/vnd.apache.parquet": {}}, "description": "The view's rows"}
    },
)
def export_view(
    identity: SiteViewer,
    database: CurrentDatabase,
    query: Asked,
    format: Annotated[Literal["csv", "parquet"], Query()] = "csv",  # noqa: A002 - the parameter's name in the URL
) -> Response:
    """The same rows as a file."""
    with database.connection() as connection:
        table = as_table(run_query(connection, query))
    name = f'attachment; filename="{query.dataset.word}-{query.view}.{format}"'
    if format == "parquet":
        return Response(
            parquet(table), media_type="application/vnd.apache.parquet", headers={"Content-Disposition": name}
        )
    columns = [_plain(column.to_pylist()) for column in table.columns]
    lines = [csv_line(table.column_names), *(csv_line(row) for row in zip(*columns, strict=True))]
    return Response("".join(lines), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": name})


def _plain(values: list[Any]) -> list[Any]:
    return [value.isoformat() if isinstance(value, datetime) else value for value in values]
