"""`ringfence fst list|show|print|compare|change|sign`: the records that the mediation keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import InvalidInputError

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="As `ringfence fst list` shows it.")]
_STYLES = {"PASS": "green", "ACCEPTED": "green", "FAIL": "red", "OPEN": "yellow"}


def list_runs(
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """The newest runs and their verdicts."""
    with connect(settings_from(config, data)) as client:
        runs = client.get("fst/runs", limit=limit)["runs"]
    if as_json:
        print_json(runs)
        return
    print_table(
        ("run", "started (UTC)", "by", "mode", "results", "verdict", "signatures"),
        [
            (one["run"], one["started_at"][:16].replace("T", " "), one["started_by"], one["mode"], one["results"],
             one["verdict"], one["signatures"])
            for one in runs
        ],
    )  # fmt: skip


def show(run: RunArgument, as_json: JsonOption = False, config: ConfigOption = None, data: DataOption = None) -> None:
    """One run: every result, signatures, and the SHA-256 that is signed."""
    with connect(settings_from(config, data)) as client:
        kept = client.get(f"fst/runs/{run}")
    if as_json:
        print_json(kept)
        return
    print_table(
        ("case", "subject", "result", "comment", "by"),
        [(one["case"], one["subject"]["name"], one["verdict"], one["comment"], one["by"])
         for one in kept["record"]["results"]],
    )  # fmt: skip
    for one in kept["signatures"]:
        print_line(f"signed as {one['role']}: {one['name']} ({one['account']}, {one['at'][:16]})")
    now = kept["now"]
    if now["state"] == "running":
        print_line(f"goes on: {now['words']}")
        if now["question"]:
            print_line(f"asks: {now['question']['words']}", "bold")
    print_line(f"SHA-256 {kept['digest']}")
    print_line(f"Verdict: {kept['verdict']}", _STYLES[kept["verdict"]])


def print_record(
    run: RunArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="FILE.pdf, FILE.html or FILE.json.")],
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write the record with its signatures as PDF, HTML or JSON."""
    kind = output.suffix.removeprefix(".").lower()
    if kind not in ("pdf", "html", "json"):
        raise InvalidInputError(f"--output: {output} must end in .pdf, .html or .json")
    with connect(settings_from(config, data)) as client:
        octets = b"".join(client.stream(f"fst/runs/{run}/record.{kind}", {}))
    try:
        output.write_bytes(octets)
    except OSError as error:
        raise InvalidInputError(f"--output: {output} cannot be written: {error.strerror}") from None
    print_line(f"{output} written")


def compare(
    run: RunArgument,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="The earlier run.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Results that came out otherwise than in an earlier run."""
    with connect(settings_from(config, data)) as client:
        found = client.get(f"fst/runs/{run}/compare", before=before)
    if as_json:
        print_json(found)
        return
    differing = [(one["case"], one["subject"], one["before"], one["after"]) for one in found["differences"]]
    print_table(("case", "subject", before, run), differing)
    print_line(f"{len(differing)} differ; {found['before']['verdict']} before, {found['after']['verdict']} now")


def change(
    run: RunArgument,
    case: Annotated[str, typer.Option(help="Such as B3.")],
    subject: Annotated[str, typer.Option(help="The server, site or part.")],
    verdict: Annotated[str | None, typer.Option(help="PASS, FAIL or OTHER.", show_default=False)] = None,
    comment: Annotated[str | None, typer.Option(help="Why.", show_default=False)] = None,
    agreed: Annotated[str | None, typer.Option(help="Who agreed to an OTHER, and where.", show_default=False)] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Change a result, or note that an OTHER was agreed in writing; only while nobody has signed."""
    body = {"case": case, "subject": subject, "verdict": verdict, "comment": comment, "agreed": agreed}
    with connect(settings_from(config, data)) as client:
        kept = client.request("PATCH", f"fst/runs/{run}/result", json=body)
    print_line(f"Verdict: {kept['verdict']}", _STYLES[kept["verdict"]])


def sign(
    run: RunArgument,
    role: Annotated[str, typer.Option(help="tester or witness.")],
    name: Annotated[str, typer.Option(help="Your name, as on paper.")],
    digest: Annotated[
        str | None, typer.Option(help="SHA-256 of the record you looked at; default: as it is now.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Sign a record. It is sealed from then on."""
    with connect(settings_from(config, data)) as client:
        digest = digest or client.get(f"fst/runs/{run}")["digest"]
        client.post(f"fst/runs/{run}/sign", {"role": role, "name": name, "digest": digest})
    print_line(f"signed as {role}: {name}, SHA-256 {digest}")
