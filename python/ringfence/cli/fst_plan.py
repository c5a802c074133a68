"""`ringfence fst plan` and `cases`: make, check and keep the test plan of this deployment; what is tested."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ringfence.acceptance.cases import ALL
from ringfence.acceptance.plan import Plan, plan_from, plan_schema, read_plan, write_plan
from ringfence.cli.client import connect
from ringfence.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ringfence.cli.output import print_json, print_line, print_table
from ringfence.errors import InvalidInputError


def plan(
    source: Annotated[str | None, typer.Option(metavar="+E164", help="Test caller.", show_default=False)] = None,
    allowed: Annotated[str | None, typer.Option(metavar="+E164", help="To be allowed.", show_default=False)] = None,
    terminated: Annotated[str | None, typer.Option(metavar="+E164", help="To be refused.", show_default=False)] = None,
    redirected: Annotated[str | None, typer.Option(metavar="+E164", help="To be led away.", show_default=False)] = None,
    target: Annotated[str | None, typer.Option(metavar="+E164", help="And where to.", show_default=False)] = None,
    check: Annotated[Path | None, typer.Option(metavar="FILE", help="Only say what is wrong with a plan.")] = None,
    keep: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep a plan as this deployment's.")] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Print the kept plan.", show_default=False)] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema.", show_default=False)] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the plan there.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make a test plan from the registered sites and devices, as YAML to be filled in; or check, keep, print one."""
    if schema:
        print_json(plan_schema())
        return
    if check is not None:
        found = read_plan_file(check)
        print_line(f"{check}: {len(found.locations)} locations, {len(list(found.devices()))} devices; nothing is wrong")
        return
    with connect(settings_from(config, data)) as client:
        if keep is not None:
            client.request("PUT", "fst/plan", json=read_plan_file(keep).as_json())
            print_line("kept; `ringfence fst run --live` and the console use it")
            return
        if kept:
            found = plan_from(client.get("fst/plan")["plan"])
        else:
            numbers = {"source": source, "allowed": allowed, "terminated": terminated, "redirected": redirected,
                       "target": target}  # fmt: skip
            missing = [f"--{name}" for name, value in numbers.items() if value is None]
            if missing:
                raise InvalidInputError(f"{', '.join(missing)}: missing; name five test numbers of this deployment")
            found = plan_from(client.post("fst/plan/draft", numbers)["plan"])
    _write(found, output, as_json)


def cases(as_json: JsonOption = False) -> None:
    """What is tested: each case with its purpose."""
    if as_json:
        fields = ("id", "title", "purpose", "procedure", "expected")
        print_json([{name: getattr(case, name) for name in fields} for case in ALL])
    else:
        print_table(("case", "title", "purpose"), [(case.id, case.title, case.purpose) for case in ALL])


def read_plan_file(file: Path) -> Plan:
    """A plan of a file; - is standard input. InvalidInputError names the file and each fault."""
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}") from None
    try:
        return read_plan(text)
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error.message}", code=error.code, detail=error.detail) from None


def _write(found: Plan, output: Path | None, as_json: bool) -> None:
    text: Any = write_plan(found)
    if output is not None:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InvalidInputError(f"--output: {output} cannot be written: {error.strerror}") from None
        print_line(f"{output} written; fill in, then `ringfence fst plan --check {output}`")
    elif as_json:
        print_json(found.as_json())
    else:
        sys.stdout.write(text)
