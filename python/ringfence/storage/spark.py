"""The archive asked on many machines: Apache Spark over the same files, with the same SQL text (`ringfence[spark]`).

For questions over months that one machine takes minutes for. The session is the caller's: a standalone master, or
whatever cluster there is; its workers must reach the archive's place under the same name (a shared folder, or S3 with
`spark.hadoop.fs.s3a.*` set). See docs/operations/storage.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ringfence.storage.archive.parts import Part
from ringfence.storage.archive.place import place_of_url

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")
# Casts that PostgreSQL and DuckDB write with two colons are Spark's too; these words are not.
_WORDS = {"timestamptz": "timestamp", "text": "string", "integer": "int"}
_CAST = re.compile(r"::(" + "|".join(_WORDS) + r")\b")


def ask_spark(
    session: SparkSession, statement: str, values: Mapping[str, Any], table: str, parts: Sequence[Part]
) -> list[tuple[Any, ...]]:
    """Rows of a statement over these parts. Times come back as the session's zone has them, so it must be UTC."""
    session.conf.set("spark.sql.session.timeZone", "UTC")
    archive_frame(session, parts).createOrReplaceTempView(table)
    text, used = _as_spark(statement, values)
    return [tuple(row) for row in session.sql(text, args=used).collect()]


def archive_frame(session: SparkSession, parts: Sequence[Part]) -> DataFrame:
    """The parts as one data frame; columns that an older file lacks are NULL."""
    files = [_url(part) for part in parts]
    return session.read.option("mergeSchema", "true").parquet(*files)


def _url(part: Part) -> str:
    place = place_of_url(part.place)
    path = place.path_of(part.file)
    return f"file://{path}" if place.folder is not None else f"s3a://{path}"


def _as_spark(statement: str, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    used: dict[str, Any] = {}

    def place(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "%"
        used[name] = values[name]
        return f":{name}"

    text = _CAST.sub(lambda match: f"::{_WORDS[match[1]]}", statement)
    return _PLACEHOLDER.sub(place, text), used
