"""`ringfence fst`: the functional system test: plan, run, records, signatures; and the SBC emulator by hand."""

from __future__ import annotations

import typer

from ringfence.cli import fst_plan, fst_record, fst_run, fst_sbc


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Functional system test: prove that an installed system works.")
    group.command("plan")(fst_plan.plan)
    group.command("cases")(fst_plan.cases)
    group.command("run")(fst_run.run)
    group.command("list")(fst_record.list_runs)
    group.command("show")(fst_record.show)
    group.command("print")(fst_record.print_record)
    group.command("compare")(fst_record.compare)
    group.command("change")(fst_record.change)
    group.command("sign")(fst_record.sign)
    group.add_typer(fst_sbc.group, name="sbc")
    app.add_typer(group, name="fst")
