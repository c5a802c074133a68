"""The Policy page, for reading: the rules of a version (the installed one unless another is asked), all versions."""

from __future__ import annotations

from typing import Any

import psycopg
from nicegui import ui

from ringfence.console.address import iso, link
from ringfence.console.frame import Region, View, heading, load, page
from ringfence.console.markup import Tag, moment
from ringfence.console.words import ACTION_WORDS
from ringfence.policy.versions import Version, list_versions, read_source

MATCHERS_SHOWN = 4


@page("/policy", "Policy", "policy")
def build(view: View) -> None:
    """Lay out the page."""
    asked = view.query.get("version", "")
    with Tag("div", classes="page-head"):
        heading("Policy")
    region = Region()

    async def answer() -> None:
        versions = await view.session.ask(list_versions)
        if not versions:
            region.empty(
                "No policy yet",
                "Every call is allowed. Put a policy file in force with “ringfence policy apply FILE.yaml”.",
                "policy",
            )
            return
        shown = _shown(versions, asked)
        if shown is None:
            region.failed(
                f"There is no policy version {asked!r}.", lambda: ui.navigate.to("/policy"), "Show what is there"
            )
            return
        source = await view.session.ask(_source, shown.version)
        with region.content(), Tag("div", classes="columns"):
            _lay_out_rules(shown, source)
            _lay_out_versions(versions, shown)

    async def start() -> None:
        await load(region, answer, start)

    ui.timer(0, start, once=True)


def _source(connection: psycopg.Connection, version: int) -> dict[str, Any]:
    return read_source(connection, version)


def _shown(versions: list[Version], asked: str) -> Version | None:
    if asked:
        return next((version for version in versions if str(version.version) == asked), None)
    return next((version for version in versions if version.is_installed), versions[0])


def _lay_out_rules(version: Version, source: dict[str, Any]) -> None:
    rules = source.get("rules", [])
    with Tag("section", classes="card"):
        with Tag("div", classes="card-head"):
            Tag("h2", f"Version {version.version}")
            Tag("span", "installed" if version.is_installed else "not installed",
                classes=f"pill {'green' if version.is_installed else 'amber'}")  # fmt: skip
        if not rules:
            Tag("p", "This version has no rules: every call is allowed.", classes="muted")
            return
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("", "Rule", "Source", "Destination", "Direction", "Action"):
                    Tag("th", words, scope="col")
            with Tag("tbody"):
                for place, rule in enumerate(rules, 1):
                    _lay_out_rule(place, rule)


def _lay_out_rule(place: int, rule: dict[str, Any]) -> None:
    mode = str(rule.get("mode", "enforce"))
    action = str(rule["action"])
    with Tag("tr"):
        Tag("td", str(place), classes="muted place-number")
        with Tag("td"):
            Tag("a", str(rule["name"]), href=link("/calls", {"rule": str(rule["name"]), "range": "24h"}),
                title="Calls that it decided")  # fmt: skip
            if rule.get("note"):
                Tag("div", str(rule["note"]), classes="muted")
        for side in ("sources", "destinations"):
            _lay_out_matchers(side[:-1].capitalize(), rule.get(side) or [])
        Tag("td", str(rule.get("direction", "any")), data_label="Direction")
        with Tag("td", data_label="Action"), Tag("div"):
            Tag("span", ACTION_WORDS.get(action, action), classes=f"pill {action}")
            if rule.get("target"):
                Tag("div", f"to {rule['target']}", classes="muted number")
            if mode != "enforce":
                Tag("div", f"{mode} only" if mode == "monitor" else mode, classes="muted")
            if rule.get("schedule"):
                Tag("div", f"in {rule['schedule']}", classes="muted")


def _lay_out_matchers(label: str, matchers: list[Any]) -> None:
    with Tag("td", data_label=label), Tag("div"):
        if not matchers:
            Tag("span", "any", classes="muted")
        for matcher in matchers[:MATCHERS_SHOWN]:
            Tag("div", str(matcher), classes="number")
        if len(matchers) > MATCHERS_SHOWN:
            rest = matchers[MATCHERS_SHOWN:]
            Tag("div", f"and {len(rest):,} more", classes="muted", title="\n".join(str(one) for one in rest[:40]))


def _lay_out_versions(versions: list[Version], shown: Version) -> None:
    with Tag("section", classes="card"):
        Tag("h2", "Versions")
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows"), Tag("tbody"):
            for version in versions:
                with Tag("tr", aria_current="true" if version is shown else None):
                    with Tag("td"):
                        Tag("a", f"Version {version.version}", href=link("/policy", {"version": str(version.version)}))
                        Tag("div", version.message or f"{version.rules:,} rules", classes="muted")
                    with Tag("td", classes="right"):
                        moment(iso(version.created_at))
                        Tag("div", f"by {version.author}", classes="muted")
                    with Tag("td"):
                        if version.is_installed:
                            Tag("span", "installed", classes="pill green")
