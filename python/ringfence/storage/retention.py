"""Which days go, and why. Pure: partitions, limits, the disk and today come in, a plan comes out.

Three limits, in this order; each is met by dropping whole days, the oldest first:

* age: a dataset's days beyond its `days`;
* share: a dataset that takes more than its `disk_percent` of the disk;
* disk: a disk more than `full_percent` full, whoever filled it: then the oldest day of any dataset.

Today and the days to come are never dropped: when only they are left, the plan says by how much it falls short.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from ringfence.database.partitions import Partition
from ringfence.storage.disk import Disk


class Why(StrEnum):
    """What makes a day go."""

    AGE = "age"
    SHARE = "dataset_share"
    DISK = "disk_full"


@dataclass(frozen=True)
class DatasetLimit:
    """Of one event table."""

    days: int
    disk_percent: int


@dataclass(frozen=True)
class Limits:
    """Of all event tables, by the table's name."""

    datasets: Mapping[str, DatasetLimit]
    full_percent: int


@dataclass(frozen=True)
class Drop:
    """One day of one table that goes."""

    partition: Partition
    why: Why


@dataclass(frozen=True)
class Plan:
    """What goes, in order; `short_bytes`: by how much the disk or a share stays over its limit all the same."""

    drops: tuple[Drop, ...]
    short_bytes: int


def plan_drops(partitions: Iterable[Partition], limits: Limits, disk: Disk | None, today: date) -> Plan:
    """What has to go now. Without a disk only age counts."""
    held = sorted(partitions, key=lambda one: (one.day, one.table))
    closed = [one for one in held if one.day < today]
    drops = [Drop(one, Why.AGE) for one in closed if one.day < today - timedelta(days=limits.datasets[one.table].days)]
    short = 0
    if disk is not None:
        for table, limit in limits.datasets.items():
            mine = [one for one in held if one.table == table]
            allowed = disk.total * limit.disk_percent // 100
            short = max(short, _take(drops, mine, _bytes(mine) - allowed, Why.SHARE, today))
        over = disk.used - disk.total * limits.full_percent // 100
        short = max(short, _take(drops, held, over, Why.DISK, today))
    return Plan(tuple(drops), short)


def next_drop(partitions: Iterable[Partition], gone: Iterable[Drop], today: date) -> Partition | None:
    """The closed day that would be dropped first if room were needed after these drops."""
    dropped = {one.partition.name for one in gone}
    closed = [one for one in partitions if one.day < today and one.name not in dropped]
    return min(closed, key=lambda one: (one.day, one.table), default=None)


def _take(drops: list[Drop], held: list[Partition], over: int, why: Why, today: date) -> int:
    """Add oldest closed days of `held` to `drops` until `over` octets go; what cannot be met."""
    going = {one.partition.name for one in drops}
    over -= sum(one.bytes for one in held if one.name in going)
    for one in held:
        if over <= 0:
            break
        if one.day < today and one.name not in going:
            drops.append(Drop(one, why))
            over -= one.bytes
    return max(over, 0)


def _bytes(partitions: list[Partition]) -> int:
    return sum(one.bytes for one in partitions)
