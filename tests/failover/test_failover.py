"""R18, line by line, with real daemons: two pairs, ENUM servers and a probe that know both, while calls go on.

One deployment for all of it, which lives through this story; each test looks at one line of the procedure.

    first is active, second its standby in backup mode ─► a change after the last backup ─► site lost
    ─► `ringfence failover` on second ─► first comes back, fenced ─► becomes second's streaming standby
    ─► `ringfence failback` on first, over ssh
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.availability.ssh_server import SshServer, ssh_server
from tests.capture.messages import one_call
from tests.edge.edge_process import Edge
from tests.edge.test_probe import fresh, send
from tests.failover.pair_node import PairNode, free_ports
from tests.failover.sites import Sites
from tests.sbc.test_probe_calls import ProbeProcess
from tests.system.running_node import eventually

from ringfence.accounts.credentials import create_token
from ringfence.availability import streaming
from ringfence.availability.backup import BackupOptions, create_backup
from ringfence.availability.failover.procedure import TITLES
from ringfence.availability.failover.record import Record, Step, read_record
from ringfence.availability.failover.run import Failover
from ringfence.availability.failover.steps import Options
from ringfence.availability.source import open_api
from ringfence.availability.standby import Standby, become
from ringfence.availability.standby_status import read_status
from ringfence.availability.sync import sync_once
from ringfence.cli.status import read_report
from ringfence.database.cluster import embedded_url
from ringfence.database.connection import Database
from ringfence.edge.policy_reset import ResetOutcome, request_reset
from ringfence.errors import NotFoundError
from ringfence.mediation.devices import register_device
from ringfence.mediation.sites import first_site
from ringfence.node.state import read_state
from ringfence.policy.installation import install
from ringfence.policy.rules import Policy
from ringfence.policy.versions import commit_policy
from ringfence.vocabulary import Role

__all__ = ["ssh_server"]
pytestmark = pytest.mark.slow


@dataclass
class Story:
    """What was seen on the way."""

    sites: Sites
    probe: ProbeProcess = field(init=False)
    token: str = ""
    planned: Record | None = None
    interrupted: Record | None = None
    said: list[str] = field(default_factory=list)
    taken_over: dict[str, Any] = field(default_factory=dict)
    green: dict[str, Any] = field(default_factory=dict)
    names_at_second: set[str] = field(default_factory=set)
    seen_at_second: list[str] = field(default_factory=list)
    seen_at_first: list[str] = field(default_factory=list)
    policy_version: int = 0
    reset: ResetOutcome | None = None
    returned: dict[str, Any] = field(default_factory=dict)
    taken_by_returned: int = -1
    change_at_returned: httpx.Response | None = None
    given_back: dict[str, Any] = field(default_factory=dict)
    names_at_first: set[str] = field(default_factory=set)
    epoch_at_end: int = 0

    def enforced(self) -> set[float]:
        """The versions that the ENUM servers have."""
        return {edge.metric("ringfence_enum_policy_version") for edge in self.sites.edges}

    def client(self, node: PairNode) -> httpx.Client:
        """An administrator of the cluster, at one pair."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=f"{node.url}/api/v1", headers=headers, timeout=20, trust_env=False)

    def see(self, call_id: str) -> None:
        """A SIP call passes the probe."""
        send(self.probe, fresh(one_call(call_id)))

    def seen(self, node: PairNode, count: int) -> list[str]:
        """The SIP calls that a pair holds, once there are so many."""
        query = "SELECT call_id FROM sip_event ORDER BY time, call_id"
        eventually(lambda: len(node.rows(query)) >= count, f"{count} SIP calls at {node.name}", 60)
        return [str(row[0]) for row in node.rows(query)]

    def add_site(self, node: PairNode, name: str) -> httpx.Response:
        with self.client(node) as client:
            return client.post("sites", json={"name": name, "country": "US"})

    def site_names(self, node: PairNode) -> set[str]:
        with self.client(node) as client:
            return {site["name"] for site in client.get("sites").json()["sites"]}


class PowerCut(BaseException):
    """The machine on which the failover runs goes down."""


def cut_at(name: str) -> Any:
    def told(step: Step) -> None:
        if (step.name, step.state) == (name, "running"):
            raise PowerCut

    return told


def words(outcome: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["words"] for step in outcome["steps"]}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, ssh_server: SshServer) -> Iterator[Story]:
    ports = free_ports(2)
    with ExitStack() as stack:
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        first, second = PairNode("first", ports[0], urls[1]), PairNode("second", ports[1], urls[0])
        stack.callback(second.remove)
        stack.callback(first.remove)
        story = Story(Sites(first, second))
        first.start()
        add_edges(story, tmp_path_factory.mktemp("edges"), stack)
        follow_by_backups(story)
        lose_the_site_and_fail_over(story)
        bring_the_old_pair_back(story)
        fail_back(story, ssh_server)
        yield story


def add_edges(story: Story, folder: Path, stack: ExitStack) -> None:
    """Two ENUM servers and a probe that know both mediations, and an administrator's token."""
    first, second = story.sites.first, story.sites.second
    database = Database(embedded_url(first.data), pool_size=2)
    try:
        with database.connection() as connection:
            story.token = create_token(connection, "operator", Role.ADMINISTRATOR, "test")
            credentials = {
                name: register_device(connection, name, name.partition("-")[0], None, "test")[1]
                for name in ("enum-1", "enum-2", "probe-1")
            }
    finally:
        database.close()
    for name, credential in credentials.items():
        place = folder / name / "data"
        place.mkdir(parents=True)
        file = place / "credential"
        file.write_text(credential, encoding="ascii")
        file.chmod(0o600)
        flags = ("--mediation", first.url, "--mediation", second.url, "--credential-file", str(file))
        if name == "probe-1":
            hep = ("--hep-listen", "127.0.0.1:0")
            story.probe = ProbeProcess(place, *hep, *flags, RINGFENCE_EDGE_HEARTBEAT_S="1")
            stack.callback(story.probe.stop)
        else:
            edge = Edge(place, *flags, RINGFENCE_EDGE_HEARTBEAT_S="1")
            stack.callback(edge.stop)
            story.sites.edges.append(edge)


def follow_by_backups(story: Story) -> None:
    """The second pair has imported a backup; afterwards calls went on, and something was changed."""
    first, second = story.sites.first, story.sites.second
    become(second.settings, Standby("backup", first.url, token=story.token))
    with story.sites.calls():
        eventually(lambda: len(story.sites.sequences(first)) >= 4, "calls are recorded")
        create_backup(first.settings, BackupOptions(("database", "configuration"), jobs=1), datetime.now(UTC))
        assert sync_once(second.settings, datetime.now(UTC)).is_imported
        assert story.add_site(first, "branch").status_code == 201
        sync_once(second.settings, datetime.now(UTC))
        held = len(story.sites.sequences(first))
        story.see("after-the-backup")
        eventually(lambda: len(story.sites.sequences(first)) >= held + 4, "more calls are recorded")
        assert story.seen(first, 1) == ["after-the-backup"]


def lose_the_site_and_fail_over(story: Story) -> None:
    """The first pair dies with its site; the failover is looked at, interrupted by a power cut, and gone on with."""
    first, second = story.sites.first, story.sites.second
    options = Options(config=second.config, devices_s=30)
    with story.sites.calls():
        first.kill()
        story.see("while-nobody-is-active")
        story.planned = failover_here(second, options).plan()
        assert read_record(second.settings) is None
        with pytest.raises(PowerCut):
            failover_here(second, options, cut_at("term")).run()
        story.interrupted = read_record(second.settings)
        story.said = second.cli("failover", "--devices", "30").splitlines()
        story.taken_over = second.json("failover", "--status")
        story.green = read_report(second.settings)
    story.sites.assert_each_event_once(second)
    story.seen_at_second = story.seen(second, 2)
    story.names_at_second = story.site_names(second)
    story.policy_version = install_policy(second)
    eventually(lambda: story.enforced() == {story.policy_version}, "the new pair's policy is taken")
    story.reset = request_reset(story.sites.edges[0].data / "run", 30)


def failover_here(node: PairNode, options: Options, told: Any = lambda step: None) -> Failover:
    return Failover(node.settings, options, lambda: read_report(node.settings), told=told)


def install_policy(node: PairNode) -> int:
    """A version committed and installed at a pair."""
    database = Database(embedded_url(node.data), pool_size=2)
    try:
        with database.connection() as connection:
            version = commit_policy(connection, Policy(), first_site(connection), "test").version.version
            install(connection, version, "test", datetime.now(UTC))
    finally:
        database.close()
    return version


def bring_the_old_pair_back(story: Story) -> None:
    """The first site's power is back; nobody there knows what happened."""
    first = story.sites.first
    first.start()
    before = len(story.sites.sequences(first))
    with story.sites.calls():
        with open_api(first.url, 10) as client:
            eventually(lambda: not client.get("/healthz").is_success, "the old pair knows that it is fenced", 60)
        story.returned = read_report(first.settings)
        story.change_at_returned = story.add_site(first, "too-late")
    story.sites.assert_each_event_once(story.sites.second)
    story.taken_by_returned = len(story.sites.sequences(first)) - before
    first.stop()


def fail_back(story: Story, ssh_server: SshServer) -> None:
    """The first pair becomes a streaming standby, and is made active again right after a last change at the second."""
    first, second = story.sites.first, story.sites.second
    ssh = tuple(shlex.split(ssh_server.command))
    wanted = Standby("streaming", ssh_server.host, ssh=ssh)
    admission = streaming.ask_admission(wanted, second.there, "first")
    streaming.init_streaming(first.settings, wanted, admission, may_replace=True)
    first.start(until="follows")
    eventually(lambda: not read_status(first.settings, datetime.now(UTC)).problems, "the standby follows", 60)
    with story.sites.calls():
        assert story.add_site(second, "late").status_code == 201
        options = Options(command=second.there, devices_s=30, is_planned=True, config=first.config)
        work = Failover(first.settings, options, lambda: read_report(first.settings), "failback")
        story.given_back = work.run().as_json()
    story.sites.assert_each_event_once(first)
    story.see("after-the-failback")
    story.seen_at_first = story.seen(first, 3)
    story.names_at_first = story.site_names(first)
    story.epoch_at_end = read_report(first.settings)["mediation"]["epoch"]


def test_it_says_first_what_would_be_done_and_lost(story: Story) -> None:
    assert story.planned is not None
    assert [step.state for step in story.planned.steps] == ["done", *["waiting"] * (len(TITLES) - 1)]
    assert "the old pair cannot be reached" in story.planned.steps[0].words
    assert "changes after it are lost (1 are known)" in story.planned.steps[0].words


def test_an_interrupted_failover_goes_on_where_it_was(story: Story) -> None:
    assert story.interrupted is not None
    steps = {step.name: step for step in story.interrupted.steps}
    assert (steps["take_over"].state, steps["term"].state) == ("done", "running")
    assert story.taken_over["started_at"] == story.interrupted.started_at
    assert words(story.taken_over)["take_over"] == steps["take_over"].words
    assert all(step["state"] == "done" for step in story.taken_over["steps"])
    assert story.token not in str(story.taken_over)


def test_each_step_is_explained_as_it_goes(story: Story) -> None:
    """Those that the interrupted call had done are not said again."""
    shown = [line.removesuffix(" …") for line in story.said if line.removesuffix(" …") in TITLES.values()]
    names = list(TITLES)
    assert shown == [TITLES[name] for name in names[names.index("term") :]]
    assert any(line.startswith("  epoch 2 (") for line in story.said)
    assert any(line.startswith("This pair is active after ") for line in story.said)


def test_a_pair_that_cannot_be_reached_is_left_to_the_edges(story: Story) -> None:
    said = words(story.taken_over)
    assert said["fence"].startswith("epoch 2: cannot be reached: the edges will refuse it")
    assert said["stop_old"] == "not reached"


def test_the_newest_backup_is_put_in_place_with_its_configuration(story: Story) -> None:
    assert "is imported already; configuration restored" in words(story.taken_over)["take_over"]
    assert "branch" not in story.names_at_second


def test_the_new_pair_starts_and_all_is_green(story: Story) -> None:
    said = words(story.taken_over)
    assert said["start"] == f"answers on {story.sites.second.url}"
    assert said["verify"] == "mediation, database and processes are green, epoch 2"
    assert story.green["ok"]
    assert "at boot" in said["enable"]


def test_every_enum_server_and_the_probe_come_over_by_themselves(story: Story) -> None:
    assert words(story.taken_over)["devices"] == "all 3 have come"
    assert story.taken_over["facts"]["devices"] == {"enum-1": True, "enum-2": True, "probe-1": True}


def test_calls_that_the_probe_saw_are_there_once(story: Story) -> None:
    """One that only the lost pair held, one that no pair held, one after the roles were swapped again."""
    seen = ["after-the-backup", "while-nobody-is-active", "after-the-failback"]
    assert story.seen_at_second == seen[:2]
    assert story.seen_at_first == seen


def test_no_call_is_lost_and_lost_configuration_is_named(story: Story) -> None:
    """That each event is there once was looked at on the way."""
    said = words(story.taken_over)["report"]
    assert story.taken_over["facts"]["events"]["received"] >= 4
    assert "0 events lost; lost are 1 changes, as known at 20" in said
    assert said.endswith("UTC: site.add branch")


def test_the_edges_take_the_new_pairs_policy_and_take_it_anew_after_a_reset(story: Story) -> None:
    assert story.reset is not None
    assert (story.reset.dropped, story.reset.version) == (story.policy_version, story.policy_version)
    assert story.policy_version > 0


def test_an_old_active_that_returns_knows_that_it_is_fenced(story: Story) -> None:
    mediation = story.returned["mediation"]
    assert (mediation["epoch"], mediation["fenced_by"], mediation["is_fenced"]) == (1, 2, True)
    assert "another is active with epoch 2" in mediation["reason"]
    assert "ringfence standby init" in mediation["reason"]
    assert story.change_at_returned is not None
    assert (story.change_at_returned.status_code, story.change_at_returned.json()["code"]) == (
        503,
        "unavailable.fenced",
    )
    assert story.taken_by_returned == 0, "no edge gave it an event"


def test_failback_loses_nothing(story: Story) -> None:
    said = words(story.given_back)
    assert said["fence"].startswith("epoch 3: fenced over ssh: nothing is changed here any more")
    assert said["catch_up"] == "everything: nothing is lost"
    assert said["devices"] == "all 3 have come"
    assert "0 events lost; no configuration is lost" in said["report"]
    assert "late" in story.names_at_first
    assert story.epoch_at_end == 3


def test_the_pair_that_was_failed_over_from_is_stopped(story: Story) -> None:
    second = story.sites.second
    assert "; stopped; " in words(story.given_back)["stop_old"]
    assert read_state(second.data) is None
    with pytest.raises(NotFoundError, match="is no standby"):
        Failover(second.settings, Options(), lambda: {}).run()


def test_every_call_was_answered(story: Story) -> None:
    assert story.sites.asked > 20
    assert story.sites.unanswered == 0
