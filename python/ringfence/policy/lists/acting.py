"""A list's change made to act: declared in the draft, committed as a version, installed.

    newest version + the list as it is now ─► version ─► installed on all (exceptions of sites and devices stay)
Nobody else's pending edits go with it: the draft is left alone, and a version that was committed but is not installed
everywhere stops an installation.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from ringfence.errors import ConflictError
from ringfence.mediation.sites import all_sites
from ringfence.policy import drafts, edits, installation, versions
from ringfence.policy.lists.catalogue import KeptList, Kind, create_list, delete_list, read_list
from ringfence.policy.rules import Policy, policy_from


def create_and_declare(
    connection: Connection, name: str, kind: Kind, actor: str, now: datetime, *, note: str = ""
) -> KeptList:
    """Make a list that rules of the draft can name at once."""
    made = create_list(connection, name, kind, actor, now, note=note)
    if name not in drafts.read_draft(connection).policy.lists:
        drafts.apply_edit(connection, edits.put("list", name, _body(kind)), drafts.By(actor, now, None))
    return made


def delete_and_withdraw(connection: Connection, name: str, actor: str, now: datetime) -> None:
    """Take a list away. ConflictError `conflict.in_use` while a rule of the draft names it."""
    policy = drafts.read_draft(connection).policy
    using = [rule.name for rule in policy.rules if f"list:{name}" in (*rule.sources, *rule.destinations)]
    if using:
        raise ConflictError(
            f"list {name!r} is named by rule {using[0]!r}"
            + (f" and {len(using) - 1} more" if len(using) > 1 else "")
            + "; take it out of the rules first",
            code="conflict.in_use",
            detail={"rules": using},
        )
    known = read_list(connection, name)
    delete_list(connection, name, actor, now)
    declared = policy.lists.get(name)
    if declared is not None and declared.model_dump(exclude_defaults=True) == _body(known.kind):
        drafts.apply_edit(connection, edits.remove("list", name), drafts.By(actor, now, None))


def commit_list(
    connection: Connection, name: str, actor: str, now: datetime, *, message: str = "", install: bool = False
) -> dict[str, Any]:
    """Commit the newest version with a list as it is now; with `install` let it act everywhere.

    ConflictError `conflict.not_installed`: the newest version does not act everywhere, and this would install it too.
    """
    newest = versions.newest_version(connection)
    installed = versions.installed_everywhere(connection).version
    if install and newest and newest != installed:
        acts = f"version {installed} acts" if installed else "no version acts"
        raise ConflictError(
            f"version {newest} is committed and {acts}: installing this list would install that as well; "
            f"install version {newest} first, or commit without installing",
            code="conflict.not_installed",
        )
    policy = _with_stored(versions.read_source(connection, newest) if newest else {}, name)
    first, *others = all_sites(connection)
    made = versions.commit_policy(connection, policy, first, actor, message or f"list {name}", other_sites=others)
    number = made.version.version
    if install and number != installed:
        scope = installation.Scope(keep_exceptions=True)
        installation.install(connection, number, actor, now, scope)
    return {"version": number, "is_new": made.is_new, "is_installed": install}


def _with_stored(source: dict[str, Any], name: str) -> Policy:
    lists = source.setdefault("lists", {})
    declared = lists.get(name)
    kept = (
        {field: declared[field] for field in ("note", "dynamic") if field in declared}
        if isinstance(declared, dict)
        else {}
    )
    lists[name] = kept | {"stored": True}
    return policy_from(source)


def _body(kind: Kind) -> dict[str, Any]:
    return {"stored": True} if kind == "static" else {"dynamic": True}
