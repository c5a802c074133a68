"""The command as a whole: what it loads, and what it says to a word it does not know."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ringfence import __version__
from ringfence.cli.main import GROUPS, build, groups_for


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["status", "--json"], ("status",)), ([], GROUPS), (["--help"], GROUPS), (["polcy", "show"], GROUPS)],
)
def test_a_command_line_needs_the_group_that_it_names(arguments: list[str], expected: tuple[str, ...]) -> None:
    assert groups_for(arguments) == expected


def test_an_operator_command_does_without_the_servers_libraries() -> None:
    program = (
        "import sys; from ringfence.cli.main import build, groups_for; build(groups_for(['status']));"
        "print(*sorted({'sqlalchemy', 'alembic', 'psycopg', 'fastapi', 'nicegui', 'pyarrow'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""


def test_every_group_is_the_name_of_its_command() -> None:
    for group in GROUPS:
        shown = CliRunner().invoke(build(groups_for([group])), [group, "--help"], prog_name="ringfence")
        assert shown.exit_code == 0, f"{group}: {shown.output}"
        assert f"ringfence {group} " in shown.stdout


def test_the_version_is_told() -> None:
    shown = CliRunner().invoke(build(), ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"ringfence {__version__}\n")


def test_a_mistyped_command_is_answered_with_a_suggestion() -> None:
    said = subprocess.run([sys.executable, "-m", "ringfence", "sttus"], capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert "Did you mean 'status'?" in said.stderr
