"""A policy by the name that people give it: `draft`, `installed`, `newest`, or a version's number."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from ringfence.errors import InvalidInputError
from ringfence.policy import drafts, versions
from ringfence.policy.diff import Change, changes_between, yaml_diff
from ringfence.policy.rules import Policy

# A list of patterns may be written as just that.
_BARE_LIST = {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 128}}


@dataclass(frozen=True)
class Named:
    """A policy and what to call it; `version` None for the draft, 0 where nothing is installed."""

    title: str
    version: int | None
    policy: Policy


@dataclass(frozen=True)
class Comparison:
    """What to do to one policy to get another."""

    before: Named
    after: Named
    changes: tuple[Change, ...]

    def as_json(self) -> dict[str, Any]:
        """Titles, changes with words, and a unified diff of the YAML."""
        return {
            "before": self.before.title,
            "after": self.after.title,
            "changes": [one.as_json() for one in self.changes],
            "yaml": yaml_diff(self.before.policy, self.after.policy, self.before.title, self.after.title),
        }


def read_named(connection: Connection, name: str) -> Named:
    """The policy of that name. NotFoundError: no such version; InvalidInputError: no such name."""
    if name == "draft":
        return Named("draft", None, drafts.read_draft(connection).policy)
    if name == "installed":
        version = versions.installed_everywhere(connection).version
    elif name == "newest":
        version = versions.newest_version(connection)
    elif name.isdecimal() and 0 < int(name) < 2**31:
        version = int(name)
    else:
        raise InvalidInputError(f"policy: {name!r} is none of draft, installed, newest or a version's number")
    if version == 0:
        return Named("no policy", 0, Policy())
    return Named(f"version {version}", version, Policy.model_validate(versions.read_source(connection, version)))


def compare(connection: Connection, before: str, after: str | Policy) -> Comparison:
    """What differs between two policies by name, or one and a policy that is none yet."""
    first = read_named(connection, before)
    second = Named("file", None, after) if isinstance(after, Policy) else read_named(connection, after)
    return Comparison(first, second, changes_between(first.policy, second.policy))


def policy_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of a policy as people write it; published as docs/policy.schema.json."""
    schema = Policy.model_json_schema(by_alias=True)
    lists = schema["properties"]["lists"]
    for values in (lists, *lists.get("patternProperties", {}).values()):
        if "$ref" in values:
            values["anyOf"] = [{"$ref": values.pop("$ref")}, _BARE_LIST]
        elif "$ref" in values.get("additionalProperties", {}):
            values["additionalProperties"] = {"anyOf": [values["additionalProperties"], _BARE_LIST]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://ringfence.example/policy.schema.json",
        "title": "Ringfence policy",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def render_schema() -> str:
    """The schema's text, as it is committed."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"
