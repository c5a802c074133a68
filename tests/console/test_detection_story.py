"""An attack from its first call to its release, on a whole node, as an operator sees it in a browser (R7, E4).

One node, one browser: a detection is deployed with contain, the attack starts, its alert appears by itself, the number
is listed with an end, calls are refused, the operator releases it, calls pass again; then the mediation is killed in
the middle of another attack.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.console.seed import PASSWORD, add_person
from tests.system.running_node import RunningNode, eventually, running_node

from ringfence.accounts.people import sign_in
from ringfence.api.security import SESSION_COOKIE
from ringfence.database.cluster import embedded_url
from ringfence.database.connection import Database
from ringfence.demo.enum_line import EnumLine
from ringfence.demo.limits import traffic
from ringfence.demo.outcome import Outcome
from ringfence.demo.player import Lines, play
from ringfence.detection import store
from ringfence.detection.attacks.call import Pace, Scene
from ringfence.detection.attacks.kinds import kind_of
from ringfence.detection.firing import Mode
from ringfence.mediation.local_files import mediation_file
from ringfence.vocabulary import Role

KIND = "tdos-number"
SCENE = Scene()
RATE, ORDINARY = 150, 5
# In life it is under two seconds (bench/detection); machines that run tests are slow.
REFUSED_WITHIN_S = 20.0
POLICY = """
lists:
  under-attack: {dynamic: true}
rules:
  - {name: attack, destinations: ["list:under-attack"], action: terminate}
"""


class Attack:
    """The player in a thread, until it is over or told to end."""

    def __init__(self, node: RunningNode, scene: Scene, seconds: float) -> None:
        self._line = EnumLine(node.enum_address(), "e164.internal")
        self._scene, self._seconds = scene, seconds
        self._ends = threading.Event()
        self.outcome = Outcome()
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def _play(self) -> None:
        calls = traffic(kind_of(KIND), self._scene, Pace(RATE, self._seconds), ORDINARY, seed=1)
        self.outcome = play(
            (call for call in calls if not self._ends.is_set()), Lines(self._line), lambda _, now: self._look(now)
        )

    def _look(self, now: Outcome) -> None:
        self.outcome = now

    @property
    def is_refused(self) -> bool:
        """Whether any call of the attack has been refused."""
        return self.outcome.first_refused_s is not None

    def end(self) -> Outcome:
        """No further call; what came back."""
        self._ends.set()
        self._thread.join(30)
        self._line.close()
        return self.outcome


@pytest.fixture(scope="module")
def node() -> Iterator[RunningNode]:
    """A whole node whose site has the scene's numbers, with the detection deployed to contain."""
    with running_node() as running:
        running.cli("site", "edit", "main", *(word for one in SCENE.own_ranges for word in ("--own", one)))
        file = running.data.parent / "policy.yaml"
        file.write_text(POLICY, encoding="utf-8")
        running.cli("policy", "apply", str(file))
        yield running


@contextmanager
def database_of(node: RunningNode) -> Iterator[Database]:
    database = Database(embedded_url(node.data), pool_size=2)
    try:
        yield database
    finally:
        database.close()


def enter(browser: Browser, node: RunningNode) -> Page:
    """A window of somebody who may release and stop."""
    with database_of(node) as database, database.connection() as connection:
        add_person(connection, "ada", Role.ADMINISTRATOR, datetime.now(UTC))
        secret = sign_in(connection, "ada", PASSWORD, None, datetime.now(UTC)).secret
    url = json.loads(mediation_file(node.data).read_text(encoding="utf-8"))["url"]
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 860})
    context.add_cookies([{"name": SESSION_COOKIE, "value": secret, "url": url}])
    page = context.new_page()
    page.set_default_timeout(30_000)
    return page


def test_an_attack_is_contained_seen_and_released(node: RunningNode, browser: Browser) -> None:
    page = enter(browser, node)
    page.goto(f"/detections?detection={KIND}")
    page.get_by_role("button", name="Deploy: contain").click()
    page.locator(".dialog").get_by_role("button", name="Deploy: contain").click()
    expect(page.get_by_test_id("state")).to_contain_text("Contain")
    page.goto("/alerts")
    expect(page.locator("[data-state=empty]")).to_be_visible()
    attack = Attack(node, SCENE, seconds=60)
    # It appears by itself: nobody loads the page again.
    expect(page.locator("[data-state=content]").filter(has_text=SCENE.main_number)).to_be_visible()
    eventually(lambda: attack.is_refused, "calls are refused")

    page.goto("/detections")
    contained = page.locator(f"tr[data-pattern='{SCENE.main_number}']")
    expect(contained).to_contain_text("under-attack")
    expect(contained.locator("[data-label=Until] rf-time")).to_be_visible()
    listed = json.loads(node.cli("list", "show", "under-attack", "--json"))
    entries = listed["entries"] if isinstance(listed, dict) else listed
    assert [entry["pattern"] for entry in entries] == [SCENE.main_number]
    assert entries[0]["expires_at"]

    page.get_by_role("button", name=f"Release {SCENE.main_number}").click()
    expect(page.get_by_text("Nothing is contained")).to_be_visible()
    eventually(lambda: "terminate" not in node.decide(SCENE.main_number), "calls pass again")
    outcome = attack.end()
    assert outcome.first_refused_s is not None
    assert outcome.first_refused_s < REFUSED_WITHIN_S
    assert outcome.attack["allow"] > 0
    assert set(outcome.ordinary) == {"allow"}
    # It goes on, and a person has decided: it is not listed again.
    assert "terminate" not in node.decide(SCENE.main_number)
    page.context.close()


def test_a_mediation_killed_in_mid_attack_goes_on_containing_and_alerts_once(node: RunningNode) -> None:
    scene = replace(SCENE, main_line=SCENE.main_line + 1)
    with database_of(node) as database, database.connection() as connection:
        store.deploy(connection, KIND, "ada", datetime.now(UTC), Mode.CONTAIN)
    key = f"destination {scene.main_number}"
    attack = Attack(node, scene, seconds=120)
    eventually(lambda: attack.is_refused, "calls are refused")
    node.kill_service("mediation")
    killed = attack.outcome.sent
    # What the edge has of the list acts without a mediation.
    assert "terminate" in node.decide(scene.main_number)
    before = node.rows(f"SELECT last_at FROM detection_episode WHERE key_text = '{key}'")
    eventually(
        lambda: node.rows(f"SELECT last_at FROM detection_episode WHERE key_text = '{key}'") > before,
        "the watcher goes on with the attack",
    )
    eventually(lambda: attack.outcome.sent > killed + RATE, "the attack goes on")
    outcome = attack.end()
    assert outcome.first_refused_s is not None
    let_through = [
        counts["allow"] for second, counts in outcome.by_second.items() if second > outcome.first_refused_s + 1
    ]
    assert sum(let_through) <= ORDINARY * len(let_through) * 2, "the block has a gap"
    assert len(node.rows(f"SELECT 1 FROM alert WHERE key_text = '{key}'")) == 1
    assert len(node.rows(f"SELECT 1 FROM detection_episode WHERE key_text = '{key}'")) == 1
