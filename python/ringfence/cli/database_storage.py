"""`ringfence database` beside `run`: what is kept and how large it is, retention now, more than one machine."""

from __future__ import annotations

from typing import Any

import typer

from ringfence.cli.client import connect
from ringfence.cli.job import wait_for_job
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table


def add_commands(group: typer.Typer) -> None:
    """Add these commands to the group."""
    for name, command in (
        ("storage", storage),
        ("retain", retain),
        ("distribute", distribute),
        ("rebalance", rebalance),
    ):
        group.command(name)(command)


def storage(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Show disk, tables, days, archive, and what is dropped next; exit code 1 when something is wrong."""
    with connect(settings_from(config, data)) as client:
        report = client.get("storage")
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if report["reason"] is not None:
        raise typer.Exit(1)


def retain(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Archive and drop now what is due, without waiting for the leader's next round."""
    with connect(settings_from(config, data)) as client:
        done = wait_for_job(client, client.post("storage/retention", {}), "looking at disk and days")
    if as_json:
        print_json(done)
        return
    for one in done["archived"]:
        print_line(f"archived {one['partition']}: {one['rows']:,} calls in {one['bytes']:,} octets")
    for one in done["dropped"]:
        kept = "its calls are in the archive" if one["is_archived"] else "its calls are gone"
        print_line(f"dropped {one['partition']} ({one['why']}): {kept}")
    for line in done["failures"]:
        print_line(line, "red")
    if not (done["archived"] or done["dropped"] or done["failures"]):
        print_line("Nothing was due.")


def distribute(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Spread the tables over the nodes of Citus; can be repeated. Plain PostgreSQL needs none of it, and refuses."""
    with connect(settings_from(config, data)) as client:
        done = wait_for_job(client, client.post("storage/distribution", {}), "distributing tables")
    if as_json:
        print_json(done)
        return
    print_line(f"distributed now: {', '.join(done['done']) or 'nothing; all was'}")
    print_line(f"nodes: {', '.join(done['nodes'])}")
    print_table(("table", "lies"), list(done["tables"].items()))


def rebalance(as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """Move shards to nodes of Citus that were added; writers of a shard wait while it moves."""
    with connect(settings_from(config, data)) as client:
        done = wait_for_job(client, client.post("storage/rebalance", {}), "moving shards")
    if as_json:
        print_json(done)
        return
    nodes = sorted({*done["before"], *done["after"]})
    rows = [(node, done["before"].get(node, 0), done["after"].get(node, 0)) for node in nodes]
    print_table(("node", "shards before", "shards now"), rows)


def _print_report(report: dict[str, Any]) -> None:
    disk, archive = report["disk"], report["archive"]
    if disk is None:
        print_line("disk: not known; set storage.disk_path or storage.disk_bytes, until then only age counts")
    else:
        print_line(
            f"disk {disk['where']}: {_size(disk['used_bytes'])} of {_size(disk['bytes'])} used, "
            f"{disk['used_percent']} %; days are dropped above {disk['limit_percent']} %"
        )
    print_table(
        ("table", "size", "kept by"), [(one["table"], _size(one["bytes"]), one["kept_by"]) for one in report["tables"]]
    )
    print_table(
        ("table", "day", "size", "calls (about)", "octets a call", "archived"),
        [
            (one["table"], one["day"], _size(one["bytes"]), one["rows"], one["bytes_per_event"], one["is_archived"])
            for one in report["days"]
        ],
    )
    print_line(f"archive: {archive['place'] or 'none; a day that is dropped is gone'}")
    if archive["place"] or any(one["parts"] for one in archive["tables"]):
        print_table(
            ("table", "files", "calls", "of these only here", "size", "octets a call", "from", "to"),
            [
                (
                    *(one[name] for name in ("table", "parts", "rows", "answers_for")),
                    _size(one["bytes"]),
                    *(one[name] for name in ("bytes_per_event", "first_day", "last_day")),
                )
                for one in archive["tables"]
            ],
        )
    for table, count in report["lost_days"].items():
        print_line(f"{table}: calls of {count} days went without an archive and are nowhere", "yellow")
    for one in report["drops_now"]:
        print_line(f"due now: {one['partition']} ({one['why']})")
    print_line(f"goes next: {report['drops_next'] or 'nothing; no closed day is held'}")
    done = report["last_round"]
    print_line(f"last looked at: {done['at'][:19] + ' UTC' if done else 'never'}")
    for note in report["notes"]:
        print_line(note, "yellow")
    if report["reason"] is not None:
        print_line(report["reason"], "red")


def _size(octets: int) -> str:
    """Octets for people: `1.5 GiB`."""
    size = float(octets)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
