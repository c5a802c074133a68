"""The trial of docs/operations/availability.md and the page know each other's commands; `make trial-availability`."""

from __future__ import annotations

import pytest
from tests.failover.trial import document


@pytest.mark.parametrize("name", document.COMMANDS)
def test_what_the_trial_types_stands_on_the_page_once(name: str) -> None:
    assert document.command(name)


def test_every_command_of_the_page_is_tried_or_said_why_not() -> None:
    known = list(document.COMMANDS.values()) + list(document.NOT_RUN)
    unknown = [
        one
        for one in document.commands()
        if not any(one.section == section and document.matches(one.text, begins) for section, begins in known)
    ]
    assert unknown == []


def test_what_is_not_tried_still_stands_there() -> None:
    for section, begins in document.NOT_RUN:
        assert any(one.section == section and one.text.startswith(begins) for one in document.commands()), begins


def test_the_settings_are_those_of_the_page() -> None:
    said = document.settings_of("Failover")
    assert (set(said), len(said["edge"]["mediation"])) == ({"edge", "availability", "enum"}, 2)
