"""Block or allow in one click: a number of a call onto a list, from the call log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import Connection

from ringfence.analytics.calls import Call
from ringfence.console.forms import Fields, FormDialog, entry_field
from ringfence.console.frame import View
from ringfence.console.markup import Choice, Tag, ignore
from ringfence.mediation.sites import first_site
from ringfence.policy import drafts
from ringfence.policy.lists import any_kind
from ringfence.policy.lists.any_kind import Put
from ringfence.vocabulary import Role

LASTS = {"": "For good", "1": "1 hour", "24": "1 day", "168": "7 days", "720": "30 days"}


@dataclass(frozen=True)
class Shelf:
    """Lists that entries can be put on: name → words."""

    lists: dict[str, str]


def read_lists(connection: Connection, now: datetime) -> Shelf:
    """Kept and dynamic lists, each with the rules that name it."""
    rules = drafts.read_draft(connection).policy.rules
    found = {}
    for one in any_kind.overview(connection, now):
        if one.kind == "inline":
            continue
        uses = [
            f"{rule.action} {side}"
            for rule in rules
            for side, matchers in (("sources", rule.sources), ("destinations", rule.destinations))
            if f"list:{one.name}" in matchers
        ]
        at_once = ", at once" if one.kind == "dynamic" else ", with the next version"
        found[one.name] = f"{one.name} ({', '.join(dict.fromkeys(uses)) or 'no rule names it'}{at_once})"
    return Shelf(found)


async def ask_listing(view: View, call: Call) -> None:
    """Which number of a call, onto which list, for how long."""
    shelf = await view.session.ask(read_lists, datetime.now(UTC))

    async def put(fields: Fields) -> None:
        name, lasts = fields.get("list", ""), fields.get("lasts", "")
        number = call.source if fields.get("side") == "source" else call.destination
        done = await view.session.act(
            Role.EDITOR, put_number, name, number, view.session.identity.name, datetime.now(UTC),
            fields.get("note", "").strip(), timedelta(hours=int(lasts)) if lasts else None,
        )  # fmt: skip
        when = "at once" if done.kind == "dynamic" else "with the next version"
        view.say(f"{done.entry['pattern']} is on {name}. It acts {when}.")

    dialog = FormDialog(view, "Put a number on a list", "Put on the list", put)
    with dialog.body:
        if not shelf.lists:
            Tag("p", "There is no list yet. Add one on the page Lists, and a rule that names it.")
            dialog.verb.props["disabled"] = True
            return
        sides = {"source": f"Source {call.source}", "destination": f"Destination {call.destination}"}
        Choice("Number", sides, "source", ignore, name="side")
        Choice("List", shelf.lists, next(iter(shelf.lists)), ignore, name="list")
        Choice("How long", LASTS, "", ignore, name="lasts")
        entry_field("Note", "", name="note", placeholder="Why")


def put_number(
    connection: Connection, name: str, number: str, actor: str, now: datetime, note: str, lasts: timedelta | None
) -> Put:
    """A number as a call shows it, onto a list."""
    site = first_site(connection)
    ends = now + lasts if lasts is not None else None
    return any_kind.put_number(connection, site, name, number, actor, now, note=note, expires_at=ends)
