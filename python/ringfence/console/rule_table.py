"""The rules of the draft, in their order: dragged or moved by keys, switched, copied and deleted in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nicegui import ui

from ringfence.analytics.hits import RuleHits
from ringfence.console.address import iso, link
from ringfence.console.markup import Tag, moment
from ringfence.console.rule_form import rate_words
from ringfence.console.words import ACTION_WORDS, MODE_WORDS
from ringfence.policy.findings import Finding

MATCHERS_SHOWN = 4
Act = Callable[[str, str], Any]  # (what, rule)


class RuleTable(Tag):
    """A table of rules. `on_act` is told `open`, `copy`, `delete` or `mode:WORD`; without it nothing can be changed."""

    def __init__(
        self,
        rules: Sequence[tuple[int, Mapping[str, Any]]],
        findings: Sequence[Finding],
        changed: Mapping[str, str],
        on_act: Act | None,
    ) -> None:
        super().__init__("div", classes="table-wrap")
        self._on_act = on_act
        self._hits: dict[str, Tag] = {}
        self._shown: dict[str, RuleHits] = {}
        said: dict[str, list[Finding]] = {}
        for finding in findings:
            if finding.kind == "rule":
                said.setdefault(finding.name, []).append(finding)
        with self, Tag("table", classes="rows cards rules"):
            with Tag("thead"), Tag("tr"):
                for words in ("", "Rule", "Mode", "Sources", "Destinations", "Action", "Last 7 days", ""):
                    Tag("th", words, scope="col")
            with Tag("tbody", data_sortable="rule_moved" if on_act else None):
                for place, rule in rules:
                    name = str(rule["name"])
                    self._lay_out_rule(place, rule, said.get(name, []), changed.get(name, ""))

    def show_hits(self, hits: Mapping[str, RuleHits]) -> None:
        """What each rule did lately."""
        for name, cell in self._hits.items():
            found = hits.get(name)
            if found is None or found == self._shown.get(name):
                continue
            self._shown[name] = found
            cell.clear()
            with cell:
                _lay_out_hits(name, found)

    def _lay_out_rule(self, place: int, rule: Mapping[str, Any], said: list[Finding], changed: str) -> None:
        name, mode = str(rule["name"]), str(rule.get("mode", "enforce"))
        with Tag("tr", data_name=name, classes=f"mode-{mode}"):
            with Tag("td", classes="place-number"):
                self._lay_out_handle(place, name)
            with Tag("td", classes="rule-name"):
                if self._on_act:
                    opener = Tag("button", name, type="button", classes="as-link", title="Edit")
                    opener.on("click", lambda name=name: self._act("open", name))
                else:
                    Tag("b", name)
                if changed:
                    Tag("span", changed, classes="pill plain amber", title="Not committed yet")
                if rule.get("note"):
                    Tag("div", str(rule["note"]), classes="muted")
                lay_out_findings(said)
            with Tag("td", data_label="Mode"):
                self._lay_out_mode(name, mode)
            for side in ("sources", "destinations"):
                lay_out_matchers(side.capitalize(), rule.get(side) or [])
            lay_out_action(rule)
            with Tag("td", data_label="7 days") as hits:
                Tag("span", "–", classes="muted")
            self._hits[name] = hits
            with Tag("td", classes="row-tools"):
                self._lay_out_tools(name)

    def _act(self, what: str, name: str) -> Any:
        return self._on_act(what, name) if self._on_act else None

    def _lay_out_handle(self, place: int, name: str) -> None:
        if not self._on_act:
            Tag("span", str(place), classes="muted")
            return
        with Tag("button", type="button", classes="handle", draggable="true", data_handle=name,
                 aria_label=f"Rule {name}, place {place}: move with the arrow keys, or drag",
                 title="Drag, or press the arrow keys"):  # fmt: skip
            ui.icon("drag_indicator").props("aria-hidden=true")
            Tag("span", str(place))

    def _lay_out_mode(self, name: str, mode: str) -> None:
        if not self._on_act:
            Tag("span", MODE_WORDS[mode], classes=f"mode {mode}")
            return
        select = Tag("select", classes=f"mode {mode}", aria_label=f"Mode of {name}")
        with select:
            for value, words in MODE_WORDS.items():
                Tag("option", words, value=value, selected=value == mode)
        select.on("change", lambda event, name=name: self._act(f"mode:{event.args}", name),
                  js_handler="(event) => emit(event.target.value)")  # fmt: skip

    def _lay_out_tools(self, name: str) -> None:
        if not self._on_act:
            return
        for what, icon, words in (("copy", "content_copy", "Copy"), ("delete", "delete", "Delete")):
            tool = Tag("button", type="button", classes="button quiet icon-only", aria_label=f"{words} {name}",
                       title=words)  # fmt: skip
            with tool:
                ui.icon(icon).props("aria-hidden=true")
            tool.on("click", lambda what=what, name=name: self._act(what, name))


def lay_out_findings(findings: Sequence[Finding]) -> None:
    """What is wrong (red) or strange (amber)."""
    for finding in findings:
        with Tag("div", classes=f"finding {finding.severity}"):
            ui.icon("error" if finding.severity == "error" else "warning").props("aria-hidden=true")
            Tag("span", finding.words.removeprefix(f"rule {finding.name!r}: "))


def lay_out_caution(words: str) -> None:
    """What a reader must know to believe a figure."""
    with Tag("div", classes="finding warning"):
        ui.icon("warning").props("aria-hidden=true")
        Tag("span", words[:1].upper() + words[1:])


def lay_out_action(rule: Mapping[str, Any]) -> None:
    """A cell: what a rule does, and when."""
    action = str(rule["action"])
    with Tag("td", data_label="Action"), Tag("div"):
        Tag("span", ACTION_WORDS.get(action, action), classes=f"pill {action}")
        if rule.get("target"):
            Tag("div", f"to {rule['target']}", classes="muted number")
        lines = [
            f"{rule['direction']} only" if rule.get("direction", "any") != "any" else "",
            f"in {rule['schedule']}" if rule.get("schedule") else "",
            rate_words(rule.get("rate")),
            f"at {', '.join([*rule.get('sites', []), *rule.get('devices', [])])}"
            if rule.get("sites") or rule.get("devices")
            else "",
            "alerts" if rule.get("track") == "alert" else "",
        ]
        for line in lines:
            if line:
                Tag("div", line, classes="muted")


def lay_out_matchers(label: str, matchers: Sequence[Any]) -> None:
    """A cell: patterns, the first few of them."""
    with Tag("td", data_label=label), Tag("div"):
        if not matchers:
            Tag("span", "any", classes="muted")
        for matcher in matchers[:MATCHERS_SHOWN]:
            text = str(matcher)
            if text.startswith("list:"):
                Tag("a", text, href=link("/policy/lists", {"list": text.removeprefix("list:")}), classes="number")
                Tag("br")
            else:
                Tag("div", text, classes="number")
        if len(matchers) > MATCHERS_SHOWN:
            rest = matchers[MATCHERS_SHOWN:]
            Tag("div", f"and {len(rest):,} more", classes="muted", title="\n".join(str(one) for one in rest[:40]))


def _lay_out_hits(name: str, found: RuleHits) -> None:
    with Tag("div"):
        if found.hits or not found.monitored:
            Tag("a", f"{found.hits:,} calls" if found.hits != 1 else "1 call",
                href=link("/calls", {"rule": name, "range": "7d"}), title="The calls that it decided")  # fmt: skip
        if found.monitored:
            Tag("div", f"{found.monitored:,} monitored", classes="muted", title="It would have decided them")
        if found.last_at is not None:
            with Tag("div", classes="muted"):
                Tag("span", "last ")
                moment(iso(found.last_at)).props["shown"] = "ago"
        elif not found.hits:
            Tag("div", "never", classes="muted")
