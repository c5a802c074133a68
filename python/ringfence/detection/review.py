"""A definition beside what it will meet: what would keep it from working here, before it is deployed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg import Connection

from ringfence.detection.compiled import specification
from ringfence.detection.definition import Definition
from ringfence.detection.firing import Mode
from ringfence.detection.surroundings import Surroundings, read_surroundings
from ringfence.errors import ConflictError, InvalidInputError
from ringfence.policy import versions


@dataclass(frozen=True)
class Finding:
    """An error keeps it from being deployed; a warning says what an operator should know."""

    severity: Literal["error", "warning"]
    text: str
    is_of_containment: bool = False
    """Of no concern where it only reports."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def review(connection: Connection, definition: Definition, now: datetime) -> list[Finding]:
    """Everything there is to say, errors first."""
    around = read_surroundings(connection)
    found: list[Finding] = []
    if definition.needs:
        found.append(Finding("error", f"not complete: {definition.needs}"))
    try:
        specification([definition], around, (now, now + timedelta(days=1)))
    except InvalidInputError as error:
        found.append(Finding("error", error.message))
    parties = (definition.condition.source, definition.condition.destination)
    if any(party.own for party in parties) and not around.own_patterns:
        found.append(Finding("warning", "no site has own ranges, so no number is an own number: nothing will match"))
    found.extend(_of_lists(connection, definition, around))
    return sorted(found, key=lambda one: one.severity)


def check_deployable(connection: Connection, definition: Definition, mode: Mode, now: datetime) -> list[Finding]:
    """The warnings. ConflictError: with an error, or to contain on a list that is none, it is not deployed."""
    found = review(connection, definition, now)
    in_the_way = [
        one for one in found if one.severity == "error" and (mode is Mode.CONTAIN or not one.is_of_containment)
    ]
    if in_the_way:
        raise ConflictError(f"detection {definition.name!r} cannot be deployed: {in_the_way[0].text}")
    return [one for one in found if one.severity == "warning"]


def _of_lists(connection: Connection, definition: Definition, around: Surroundings) -> list[Finding]:
    contain = definition.contain
    if contain is None:
        return []
    declared = versions.installed_dynamic_lists(connection).names
    found: list[Finding] = []
    for side, name in (("sources", contain.sources), ("destinations", contain.destinations)):
        if name is None:
            continue
        if name not in declared:
            text = f"list {name!r} is not a dynamic list of an installed policy"
            found.append(Finding("error", f"contain.{side}: {text}", is_of_containment=True))
            continue
        refusing = [rule for rule in around.enforced_rules if rule.action != "allow"]
        if not any(f"list:{name}" in getattr(rule, side) for rule in refusing):
            text = f"no enforced rule refuses by list {name!r}, so listing would change nothing"
            found.append(Finding("warning", f"contain.{side}: {text}", is_of_containment=True))
    return found
