"""`ringfence fst run`: carry the cases out, in a lab on this machine or against a deployment, and write the record."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.prompt import Prompt
from rich.status import Status

from ringfence import __version__
from ringfence.acceptance.cases import cases_for
from ringfence.acceptance.cases.enum_answers import POLICY
from ringfence.acceptance.hands import Answer, AskedHands, Hands, Question, nobody
from ringfence.acceptance.lab.deployment import Lab, LabHands, Size
from ringfence.acceptance.live import new_run_id
from ringfence.acceptance.plan import Plan, plan_from
from ringfence.acceptance.printed.document import build_document
from ringfence.acceptance.printed.html import print_html
from ringfence.acceptance.printed.pdf import print_pdf
from ringfence.acceptance.record import VERDICTS, Record
from ringfence.acceptance.run import Api, Progress, Run
from ringfence.acceptance.sbc_side import SbcSide, emulated
from ringfence.acceptance.trial_policy import try_to_put_back
from ringfence.cli.client import connect
from ringfence.cli.fst_plan import read_plan_file
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.cli.stop_signals import stopped_by_signals
from ringfence.errors import InvalidInputError, RingfenceError

_STYLES = {"PASS": "green", "ACCEPTED": "green", "FAIL": "red", "OPEN": "yellow"}


def run(
    lab: Annotated[bool, typer.Option("--lab", help="Everything on this machine.", show_default=False)] = False,
    live: Annotated[bool, typer.Option("--live", help="This deployment, by its API.", show_default=False)] = False,
    plan: Annotated[Path | None, typer.Option(metavar="FILE", help="Plan; default: the kept one.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Write the record there.")
    ] = None,
    cases: Annotated[list[str] | None, typer.Option(help="A, B, C or a case; repeatable.", show_default=False)] = None,
    scale_waits: Annotated[float, typer.Option(min=0, max=1, help="Shorten waits; the record says so.")] = 1.0,
    unattended: Annotated[bool, typer.Option("--unattended", help="Ask nobody.", show_default=False)] = False,
    sites: Annotated[int, typer.Option(min=1, max=4, help="Sites of the lab.")] = 2,
    enum_servers: Annotated[int, typer.Option(min=1, max=8, help="ENUM servers of each.")] = 3,
    probes: Annotated[int, typer.Option(min=0, max=4, help="Probes of each; they need root.")] = 2,
    emulator: Annotated[bool, typer.Option("--emulator", help="In the lab, no Kamailio.", show_default=False)] = False,
    tester: Annotated[str, typer.Option(help="Who tests.")] = "",
    witness: Annotated[str, typer.Option(help="Who watches.")] = "",
    keep: Annotated[bool, typer.Option(help="Live: keep the record at the mediation.")] = True,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Carry out the functional system test. Exit code 1 unless the verdict is PASS or ACCEPTED."""
    if lab == live:
        raise InvalidInputError("--lab or --live: name one: a lab on this machine, or this deployment")
    if output is not None and output.exists() and not output.is_dir():
        raise InvalidInputError(f"--output: {output} is a file; expected a folder")
    only, began = tuple(cases or ()), datetime.now(UTC)
    screen = Console(stderr=True)
    with stopped_by_signals(), screen.status("starting") if sys.stderr.isatty() else _Quiet() as status:
        if lab:
            size = Size(sites, enum_servers, probes, real_sbc=not emulator, scale=scale_waits)
            with Lab(size, say=lambda words: status.update(f"starting {words}")) as built:
                record = _begin(built.plan, "lab", began, only, scale_waits, _titles(built.sbcs), tester, witness)
                ended = _carry_out(record, built.api, LabHands(built), built.sbcs, status, only)
        else:
            ask = nobody if unattended or not sys.stdin.isatty() else _asker(screen, status)
            with connect(settings_from(config, data)) as client:
                wanted = read_plan_file(plan) if plan else plan_from(client.get("fst/plan")["plan"])
                sbcs = _emulators(wanted)
                record = _begin(wanted, "live", began, only, scale_waits, _titles(sbcs), tester, witness)
                ended = _carry_out(record, client, AskedHands(ask), sbcs, status, only)
                if keep:
                    client.post("fst/records", ended.as_json())
    if output is not None:
        write_record(ended, output, datetime.now(UTC))
    _print(ended, output, as_json)
    if ended.verdict() not in ("PASS", "ACCEPTED"):
        raise typer.Exit(1)


def write_record(record: Record, folder: Path, now: datetime) -> None:
    """record.json (what is signed), record.pdf, record.html. InvalidInputError: the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "record.json").write_bytes(record.canonical())
        document = build_document(record, (), now)
        (folder / "record.html").write_text(print_html(document), encoding="utf-8")
        (folder / "record.pdf").write_bytes(print_pdf(document))
    except OSError as error:
        raise InvalidInputError(f"--output: {folder} cannot be written: {error.strerror}") from None


class _Quiet:
    """In place of the spinner where nobody looks: a line for each case."""

    def __enter__(self) -> _Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, words: str) -> None:
        """Nothing: results are told as they come."""

    def stop(self) -> None:
        """Nothing."""

    def start(self) -> None:
        """Nothing."""


def _begin(
    plan: Plan, mode: str, began: datetime, only: tuple[str, ...], scale: float, sbc: str, tester: str, witness: str
) -> Record:
    cases, skipped = cases_for(plan, only)
    return Record(
        new_run_id(began), plan, "lab" if mode == "lab" else "live", sbc, __version__,
        began.isoformat(timespec="seconds"), getuser(), scale, cases=tuple(case.id for case in cases),
        skipped=skipped, tester=tester, witness=witness,
    )  # fmt: skip


def _carry_out(
    record: Record, api: Api, hands: Hands, sbcs: dict[str, SbcSide], status: Status | _Quiet, only: tuple[str, ...]
) -> Record:
    told = 0

    def tell(at: Progress, so_far: Record) -> None:
        nonlocal told
        status.update(f"{at.done + 1}/{at.total} {at.case} {at.words}")
        for result in so_far.results[told:]:
            sys.stderr.write(f"{result.case:3} {result.subject.name:24} {result.verdict:5} {result.comment}\n")
        told = len(so_far.results)

    cases, _ = cases_for(record.plan, only)
    run_ = Run(record, api, hands, sbcs, tell)
    fault = ""
    try:
        run_.execute(cases)
    finally:
        policy = run_.memory.get(POLICY)
        fault = try_to_put_back(policy) if policy is not None else ""
    return replace(run_.record, notes=(*run_.record.notes, fault)) if fault else run_.record


def _emulators(plan: Plan) -> dict[str, SbcSide]:
    return {one.site: emulated(one, plan.apex, 1.0) for one in plan.locations if one.enum_servers or one.probes}


def _titles(sbcs: dict[str, SbcSide]) -> str:
    return ", ".join(dict.fromkeys(sbc.title for sbc in sbcs.values()))


def _asker(screen: Console, status: Status | _Quiet) -> Callable[[Question], Answer]:
    def ask(question: Question) -> Answer:
        status.stop()
        try:
            screen.print(f"\n[bold]{question.case} {question.subject}[/bold]: ", question.words, sep="")
            if question.wants == "done":
                Prompt.ask("Enter when it is done", console=screen, default="", show_default=False)
                return Answer(None, "", getuser())
            word = Prompt.ask("Result", choices=list(VERDICTS), default="PASS", console=screen, case_sensitive=False)
            comment = ""
            while not comment and word.upper() != "PASS":
                comment = Prompt.ask("Comment", console=screen, default="", show_default=False)
            verdict = next(one for one in VERDICTS if one == word.upper())
            return Answer(verdict, comment, getuser())
        except EOFError:
            raise RingfenceError("input has ended", code="unavailable") from None
        finally:
            status.start()

    return ask


def _print(record: Record, output: Path | None, as_json: bool) -> None:
    if as_json:
        print_json({"run": record.run, "verdict": record.verdict(), "digest": record.digest(),
                    "record": json.loads(record.canonical())})  # fmt: skip
        return
    counts = {word: record.count(word) for word in VERDICTS}
    rest = [one for one in record.results if one.verdict != "PASS"]
    if rest:
        print_table(("case", "subject", "result", "comment"),
                    [(one.case, one.subject.name, one.verdict, one.comment) for one in rest])  # fmt: skip
    for case, reason in record.skipped:
        print_line(f"{case} was not carried out: {reason}")
    shown = ", ".join(f"{count} {word}" for word, count in counts.items())
    print_line(f"Verdict: {record.verdict()} ({shown}), run {record.run}", _STYLES[record.verdict()])
    if output is not None:
        print_line(f"Record: {output / 'record.pdf'}")
