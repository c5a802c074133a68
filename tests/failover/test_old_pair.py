"""The old pair while it can be reached: fenced by its API or its own command, copied a last time behind its fence."""

from __future__ import annotations

import shutil
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cli.conftest import run_ringfence
from tests.failover.conftest import Pairs
from tests.mediation_server import RunningMediation

from ringfence.availability.failover import old_pair
from ringfence.availability.failover.fencing import fence_here
from ringfence.availability.failover.node import Node
from ringfence.availability.failover.old_pair import OldPair
from ringfence.availability.failover.record import read_record
from ringfence.availability.failover.run import Failover
from ringfence.availability.failover.steps import Options
from ringfence.availability.source import source_of
from ringfence.availability.standby import Standby, become, role_of
from ringfence.availability.sync import sync_once
from ringfence.availability.term import Term
from ringfence.errors import InvalidInputError, UnavailableError
from ringfence.settings import Settings

NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
NOBODY = "http://127.0.0.1:1"


def follows(mediation: RunningMediation) -> Standby:
    token = mediation.client()._headers["authorization"].removeprefix("Bearer ")
    return Standby("backup", mediation.url, token=token)


def test_behind_its_fence_it_gives_a_last_backup(pairs: Pairs, old_mediation: RunningMediation, tmp_path: Path) -> None:
    standby = follows(old_mediation)
    term = pairs.raise_new()
    old = OldPair(standby, (), None, "ringfence")
    assert old.reach() == old_mediation.url
    fenced = old.fence(term)
    assert (fenced.is_told, fenced.words) == (True, f"fenced over its API ({old_mediation.url})")
    assert pairs.term_of(pairs.old).is_fenced
    made = old.back_up(60)
    here = Settings(data=tmp_path / "standby")
    become(here, standby)
    run = sync_once(here, NOW, imports=False)
    assert (run.backup_id, run.is_copied) == (made, True)
    changes = source_of(standby).changes_since(NOW)
    assert changes is not None
    assert "cluster.fenced" not in [change["action"] for change in changes]
    assert not old.stop(term).is_stopped


def test_only_a_proven_higher_term_of_this_cluster_fences(pairs: Pairs, old_mediation: RunningMediation) -> None:
    own = pairs.term_of(pairs.old)
    foreign = Term.sealed("ef" * 16, 9, "0" * 16, b"another")
    forged = Term(own.term.cluster, 9, own.term.holder, own.term.proof)
    told = OldPair(Standby("backup", NOBODY), (old_mediation.url,), None, "ringfence").fence(foreign)
    assert told.words.startswith(f"{old_mediation.url} does not take the term: the edges will refuse it")
    for text, why in (("x", "TERM must be"), (str(forged), "not proven"), (str(own.term), "this pair has epoch 1")):
        with pytest.raises(InvalidInputError, match=why):
            fence_here(old_mediation.settings, text, None, NOW)
    assert not pairs.term_of(pairs.old).is_fenced
    done = fence_here(old_mediation.settings, str(pairs.raise_new()), None, NOW)
    assert (done.epoch, done.words) == (2, "nothing is changed here any more")
    assert done.lsn
    assert old_mediation.process.membership.is_fenced, "when the command returns"


def test_one_that_is_not_there_is_said() -> None:
    gone = OldPair(Standby("backup", NOBODY, token="x"), (), None, "ringfence")
    assert gone.reach() is None
    assert not gone.fence(Term.sealed("ef" * 16, 9, "0" * 16, b"another")).is_told
    with pytest.raises(UnavailableError, match="cannot be reached"):
        gone.back_up(5)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed (Debian: openssh-client)")
def test_a_site_that_went_dark_is_given_up_on_all_ways_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections from its queues and never answers; what the edges hold waits for the failover meanwhile."""
    monkeypatch.setattr(old_pair, "_ASK_TIMEOUT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as dark:
        port = dark.getsockname()[1]
        api = f"http://127.0.0.1:{port}"
        gone = OldPair(Standby("streaming", "127.0.0.1", ssh=("ssh", "-p", str(port))), (api, api), None, "ringfence")
        began = time.monotonic()
        assert gone.reach() is None
        fenced = gone.fence(Term.sealed("ef" * 16, 9, "0" * 16, b"another"))
        assert time.monotonic() - began < 2 * 3, "one after the other it would be three times a second each"
    assert not fenced.is_told
    assert fenced.words.endswith("timed out: the edges will refuse it, and fence it when it is back")


def test_ssh_that_fails_says_why() -> None:
    old = OldPair(Standby("streaming", "old.example", ssh=("sh", "-c", "echo no route >&2; exit 255")), (), None, "x")
    assert old.reach() is None
    assert old.stop(Term.sealed("ef" * 16, 9, "0" * 16, b"s")).words == "not stopped: old.example: no route"
    said = OldPair(Standby("streaming", "old.example", ssh=("sh", "-c", "echo hello")), (), None, "x")
    with pytest.raises(UnavailableError, match=r"old\.example answers, and not as Ringfence does"):
        said.back_up(5)


def test_one_whose_api_is_followed_is_stopped_over_ssh_where_its_host_is_named() -> None:
    answer = '{"epoch": 9, "words": "nothing is changed here any more; stopped", "lsn": "0/1", "is_stopped": true}'
    followed = Standby("backup", NOBODY, ssh=("sh", "-c", f"echo '{answer}'"))
    term = Term.sealed("ef" * 16, 9, "0" * 16, b"s")
    named = OldPair(followed, (), "root@old.example", "ringfence")
    assert (named.fence(term).is_told, named.fence(term).lsn) == (True, "0/1")
    assert named.stop(term).is_stopped
    assert not OldPair(followed, (), None, "ringfence").stop(term).is_stopped


def test_a_failback_without_the_active_changes_nothing(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    become(settings, Standby("backup", NOBODY, token="x"))
    with pytest.raises(UnavailableError, match="a failback gives up nothing"):
        Failover(settings, Options(is_planned=True), lambda: {}, "failback").run()
    record = read_record(settings)
    assert record is not None
    assert [step.state for step in record.steps[:2]] == ["failed", "waiting"]
    assert role_of(settings) == "standby"


def test_a_node_that_does_not_run_is_told_for_its_next_start(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    term = Term.sealed("ab" * 16, 2, "0" * 16, b"s")
    done = fence_here(settings, str(term), Node(settings), NOW)
    assert done.is_stopped
    assert done.words.startswith("the database does not run: the fence stands when it does; was not running; ")
    assert str(term) in (tmp_path / "told-term.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("failback", "--dry-run"), 3, "failback: this node is no standby"),
        (("fence", "x"), 2, "fence: TERM must be CLUSTER.EPOCH.HOLDER.PROOF"),
    ],
)
def test_the_commands_say_in_one_line_why_not(
    tmp_path: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = run_ringfence(*arguments, RINGFENCE_DATA=str(tmp_path))
    assert done.returncode == status
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
