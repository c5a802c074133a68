"""Policy, explain, device, user, token and status: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Run, run_ringfence
from tests.mediation_server import RunningMediation, wait_until

from ringfence.cli.policy import WAIT_S
from ringfence.mediation.local_files import mediation_file, token_file
from ringfence.vocabulary import Role

GOLDEN = Path(__file__).parent / "golden"
POLICY = """
rules:
  - {name: premium, destinations: ["+19005550100"], action: terminate, note: never}
  - {name: moved, destinations: ["+12105550100"], action: redirect, target: "+12105550199"}
  - {name: watched, mode: monitor, action: terminate}
"""
NAME_RULE = "expected 1 to 64 lower-case letters, digits, '.', '_', '@' or '-'"


def golden(name: str, text: str) -> None:
    """Compare with the committed output, times masked; RINGFENCE_TEST_RENEW=1 writes it afresh."""
    masked = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", "TTTT-TT-TT TT:TT:TT", text)
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("RINGFENCE_TEST_RENEW") == "1":
        file.write_text(masked, encoding="utf-8")
    assert masked == file.read_text(encoding="utf-8")


def test_policy_from_file_to_rollback(ringfence: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY, encoding="utf-8")
    said = [
        ringfence("policy", "show"),
        ringfence("policy", "apply", str(file), "--dry-run"),
        ringfence("policy", "apply", str(file), "--message", "first"),
        ringfence("policy", "apply", "-", stdin="rules: []"),
        ringfence("policy", "apply", str(file)),
        ringfence("policy", "versions"),
        ringfence("policy", "show"),
        ringfence("policy", "install", "2", "--no-wait"),
        ringfence("policy", "uninstall"),
    ]
    assert [done.returncode for done in said] == [0] * len(said), [done.stderr for done in said]
    golden("policy", "\n".join(done.stdout for done in said).replace(str(file), "policy.yaml"))


def test_what_show_prints_apply_takes_again(ringfence: Run) -> None:
    ringfence("policy", "apply", "-", stdin=POLICY)
    again = json.loads(ringfence("policy", "apply", "-", "--json", stdin=ringfence("policy", "show").stdout).stdout)
    assert (again["version"], again["is_new"]) == (1, False)


def test_explain_says_what_and_why(ringfence: Run) -> None:
    ringfence("policy", "apply", "-", stdin=POLICY)
    said = [
        ringfence("explain", "+12105550123", "+19005550100"),
        ringfence("explain", "2105550123", "+12105550100"),
        ringfence("explain", "-", "911"),
    ]
    assert [done.returncode for done in said] == [0, 0, 0]
    golden("explain", "\n".join(done.stdout for done in said))
    answer = json.loads(ringfence("explain", "+12105550123", "+19005550100", "--json").stdout)
    assert (answer["action"], answer["rule"], answer["policy_version"]) == ("terminate", "premium", 1)


def test_apply_waits_until_the_live_devices_enforce_it(mediation: RunningMediation, ringfence: Run) -> None:
    device, done = mediation.device(), threading.Event()
    device.post("edge/heartbeat", json={"now_us": time.time_ns() // 1000})

    def enforce() -> None:
        has = {"version": "0", "hash": ""}
        while not done.is_set():
            got = device.get("edge/policy", params=has | {"wait_s": "1"})
            if got.status_code == 200:
                has = {"version": got.headers["X-Policy-Version"], "hash": got.headers["X-Policy-Hash"]}

    edge = threading.Thread(target=enforce)
    edge.start()
    try:
        wait_until(lambda: mediation.process.distribution.waiting)
        applied = ringfence("policy", "apply", "-", stdin=POLICY)
    finally:
        done.set()
        edge.join()
    assert applied.stdout.splitlines(keepends=True)[0] == "Policy version 1 installed; enforced by the live device.\n"


def test_apply_does_not_wait_for_ever_and_tells_who_lags(mediation: RunningMediation, ringfence: Run) -> None:
    mediation.device().post("edge/heartbeat", json={"now_us": time.time_ns() // 1000})
    since = time.monotonic()
    applied = ringfence("policy", "apply", "-", stdin=POLICY)
    assert (
        applied.stdout.splitlines(keepends=True)[0]
        == "Policy version 1 installed; enforced by 0 of 1 live device so far.\n"
    )
    assert time.monotonic() - since >= WAIT_S


def test_devices_users_and_tokens(ringfence: Run) -> None:
    credential = ringfence("device", "add", "enum-1").stdout.splitlines()[1]
    assert credential.startswith("rfd_")
    assert "One-time password: " in ringfence("user", "add", "ana").stdout
    said = [
        ringfence("device", "list"),
        ringfence("device", "revoke", "enum-1"),
        ringfence("user", "role", "ana", "editor"),
        ringfence("user", "disable", "ana"),
        ringfence("user", "list"),
        ringfence("user", "enable", "ana"),
        ringfence("user", "sites", "ana", "main"),
        ringfence("user", "sites", "ana"),
        ringfence("user", "second-factor", "--require", "administrator", "--require", "editor"),
        ringfence("user", "second-factor", "ana"),
        ringfence("user", "second-factor", "--require", "none"),
        ringfence("user", "sessions", "ana", "--end"),
    ]
    assert [done.returncode for done in said] == [0] * len(said), [done.stderr for done in said]
    golden("accounts", "\n".join(done.stdout for done in said))
    made = ringfence("token", "add", "backup", "--role", "analyst", "--days", "3", "--site", "main")
    assert made.stdout.splitlines()[1].startswith("rft_")
    listed = json.loads(ringfence("token", "list", "--json").stdout)
    assert [(one["name"], one["sites"]) for one in listed if one["name"] == "backup"] == [("backup", ["main"])]
    assert ringfence("token", "list", "--own").returncode == 0  # the machine's own token owns none
    assert "not_a_site" in ringfence("token", "add", "x", "--site", "not_a_site").stderr
    assert ringfence("token", "revoke", "backup").returncode == 0


def test_status_is_green_or_exits_1_with_the_reason(mediation: RunningMediation, ringfence: Run) -> None:
    yellow = ringfence("status")
    assert (yellow.returncode, yellow.stdout.splitlines()[-1]) == (0, "All is well; what is yellow is worth a look.")
    assert "no policy is installed" in yellow.stdout
    unsettled = ringfence("status", "--settled")
    assert unsettled.returncode == 1
    assert re.search(r"^  mediation: up for \d+ s, should be for 10 min$", unsettled.stdout, re.MULTILINE)
    mediation.device()
    red = ringfence("status", "--json")
    assert red.returncode == 1
    assert json.loads(red.stdout)["devices"][0]["reason"] == "has never reported: start it with its credential"


def test_status_without_a_mediation_is_red(tmp_path: Path) -> None:
    done = run_ringfence("status", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "no mediation runs on" in done.stdout


def test_status_with_the_token_of_a_killed_mediation_is_red(mediation: RunningMediation, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    token = tmp_path / "run" / "cli.token"
    token.write_text("rft_of_a_killed_one", encoding="ascii")
    place = {"url": mediation.url, "socket": None, "token_file": str(token), "pid": 1}
    (tmp_path / "run" / "mediation.json").write_text(json.dumps(place), encoding="utf-8")
    done = run_ringfence("status", "--json", "--data", str(tmp_path))
    assert (done.returncode, json.loads(done.stdout)["mediation"]["ok"]) == (1, False)
    elsewhere = run_ringfence("status", "--json", RINGFENCE_URL=mediation.url, RINGFENCE_TOKEN="rft_wrong")
    assert (elsewhere.returncode, elsewhere.stdout) == (5, "")


def test_logs_are_shown_in_one_order_from_all_files(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "enum.log").write_text("2026-11-28T04:36:47.000000Z [error    ] agent.part_failed  part=uplink\n")
    (folder / "mediation.log").write_text(
        '{"timestamp": "2026-11-28T04:36:46Z", "level": "info", "event": "mediation.started", "url": "http://x"}\n'
        '{"timestamp": "2026-11-28T04:30:00Z", "level": "info", "event": "too.early"}\n'
    )
    where = ("--data", str(tmp_path), "--since", "2026-11-28T04:36:00+00:00")
    assert run_ringfence("logs", *where).stdout.splitlines() == [
        "2026-11-28 04:36:46Z mediation  info     mediation.started url=http://x",
        "2026-11-28 04:36:47Z enum       error    agent.part_failed part=uplink",
    ]
    errors = [json.loads(line) for line in run_ringfence("logs", "--errors", "--json", *where).stdout.splitlines()]
    assert [(one["process"], one["event"], one["text"]) for one in errors] == [
        ("enum", "agent.part_failed", "part=uplink")
    ]
    assert run_ringfence("logs", "mediation", "--errors", *where).stdout == ""
    refused = run_ringfence("logs", "--since", "yesterday", "--data", str(tmp_path))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


FAILURES: dict[tuple[str, ...], tuple[int, str]] = {
    ("policy", "apply", "/nowhere.yaml"): (2, "/nowhere.yaml: cannot be read: No such file or directory"),
    ("policy", "apply", "-"): (2, "expected a mapping with rules, lists, schedules; an empty policy is `rules: []`"),
    ("policy", "show", "9"): (3, "policy version 9 does not exist; `ringfence policy versions` lists them"),
    ("policy", "install", "9"): (3, "policy version 9 does not exist; `ringfence policy versions` lists them"),
    ("device", "revoke", "x"): (3, "device 'x' is not registered; `ringfence device list` shows those that are"),
    ("user", "add", "Ana"): (2, f"user name: 'Ana' is not a name; {NAME_RULE}"),
    ("explain", "\udcff", "1"): (2, "the command line holds text that is not UTF-8"),
}


@pytest.mark.parametrize("arguments", FAILURES, ids=" ".join)
def test_a_failure_is_one_line_and_a_documented_exit_code(ringfence: Run, arguments: tuple[str, ...]) -> None:
    done = ringfence(*arguments)
    code, said = FAILURES[arguments]
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"ringfence: {said}\n")


def test_exists_already_is_4_and_no_mediation_is_6(ringfence: Run, tmp_path: Path) -> None:
    ringfence("device", "add", "enum-1")
    assert ringfence("device", "add", "enum-1").returncode == 4
    nowhere = run_ringfence("policy", "versions", "--data", str(tmp_path / "no"))
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (6, 1)
    assert run_ringfence("policy", "versions", RINGFENCE_URL="http://127.0.0.1:1", RINGFENCE_TOKEN="x").returncode == 6


def test_elsewhere_a_url_and_a_token_are_enough(mediation: RunningMediation) -> None:
    viewer = mediation.client(Role.VIEWER).headers["Authorization"].removeprefix("Bearer ")
    for url in (mediation.url, f"unix:{mediation.settings.api.socket}"):
        assert run_ringfence("device", "list", RINGFENCE_URL=url, RINGFENCE_TOKEN=viewer).returncode == 0
        denied = run_ringfence("device", "add", "x", RINGFENCE_URL=url, RINGFENCE_TOKEN=viewer)
        message = "ringfence: this needs the role administrator; viewer-0 is viewer\n"
        assert (denied.returncode, denied.stderr) == (5, message)
    assert run_ringfence("device", "list", RINGFENCE_URL=mediation.url, RINGFENCE_TOKEN="guess").returncode == 5
    assert run_ringfence("device", "list", RINGFENCE_URL=mediation.url).returncode == 2


def test_the_local_token_is_for_the_owners_eyes_only(mediation: RunningMediation) -> None:
    data = mediation.settings.data
    for file in (token_file(data), mediation_file(data)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((data / "run").stat().st_mode) == 0o700


def test_entries_of_a_dynamic_list_come_and_go(ringfence: Run) -> None:
    policy = 'lists: {attackers: {dynamic: true}}\nrules: [{name: a, sources: ["list:attackers"], action: terminate}]'
    ringfence("policy", "apply", "-", stdin=policy)
    said = [
        ringfence("list", "show", "attackers"),
        ringfence("list", "add", "attackers", "+13005550100", "--expires", "2h", "--note", "flood"),
        ringfence("list", "add", "attackers", "+1900*"),
        ringfence("list", "show", "attackers"),
        ringfence("list", "remove", "attackers", "+1900*"),
        ringfence("explain", "+13005550100", "+12105550199"),
    ]
    assert [done.returncode for done in said] == [0] * len(said), [done.stderr for done in said]
    golden("list", "\n".join(done.stdout for done in said))
    (entry,) = json.loads(ringfence("list", "show", "attackers", "--json").stdout)
    assert (entry["pattern"], entry["note"], entry["origin"]) == ("+13005550100", "flood", "local")


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (
            ("add", "attackers", "+13005550100"),
            3,
            "list 'attackers' is not a dynamic list of a policy, and none is inst",
        ),
        (("add", "attackers", "+13005550100", "--expires", "soon"), 2, "--expires: 'soon' is not a duration"),
        (("remove", "attackers", "13005550100"), 2, "pattern: '13005550100': must start with +"),
        (("show", "attackers"), 3, "not a dynamic list"),
    ],
)
def test_a_refused_list_command_says_why(ringfence: Run, arguments: tuple[str, ...], status: int, why: str) -> None:
    done = ringfence("list", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert why in done.stderr


def test_number_says_how_a_site_reads_it(ringfence: Run) -> None:
    said = ringfence("number", "explain", "011 44 20 7946 0101")
    assert said.returncode == 0, said.stderr
    golden("number", said.stdout)
    assert json.loads(ringfence("number", "explain", "911", "--json").stdout)["call_type"] == "emergency"
    unknown = ringfence("number", "explain", "911", "--site", "mars")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (3, 1)
    assert "site 'mars' does not exist" in unknown.stderr


def test_a_numbers_records_are_told_and_erased(ringfence: Run) -> None:
    told = json.loads(ringfence("number", "export", "+12105550123").stdout)
    assert (told["number"], told["calls"], told["entries"]) == ("+12105550123", [], [])
    assert ringfence("number", "export", "+12105550123", "--format", "csv").stdout.startswith("time,dataset,device,")
    unconfirmed = ringfence("number", "erase", "+12105550123")
    assert (unconfirmed.returncode, "--confirm" in unconfirmed.stderr) == (2, True)
    erased = ringfence("number", "erase", "+12105550123", "--confirm")
    assert erased.returncode == 0, erased.stderr
    assert erased.stdout.startswith("0 queries and 0 calls now have erased-")
    assert "Backups" in erased.stdout
    trail = ringfence("audit", "list", "--json").stdout
    assert "number.erase" in trail
    assert "12105550123" not in trail
