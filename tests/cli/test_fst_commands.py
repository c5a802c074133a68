"""`ringfence fst`: plan, records and signatures on a running mediation, and the SBC emulator by hand."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.samples import sample_plan, sample_record
from tests.cli.conftest import Run, run_ringfence
from tests.mediation_server import RunningMediation
from tests.sbc.responder import running

from ringfence.acceptance.plan import write_plan
from ringfence.acceptance.store import save_record

TERMINATE = r"!^(.*)$!sip:\1@terminate.e164.internal!"


def test_the_emulator_shows_what_an_sbc_sees() -> None:
    with running(lambda destination, source: TERMINATE) as server:
        host, port = server.address
        words = ("fst", "sbc", "call", "-s", f"{host}:{port}", "--from", "+13005550000", "--to", "+19005550100")
        shown = run_ringfence(*words, "-n", "2")
        told = json.loads(run_ringfence(*words, "--json").stdout)
        refused = run_ringfence(*words[:4], "enum.example:53", *words[5:])
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("terminate") == 2
    assert f"{host}:{port}: in service, answered 2 of 2 calls" in shown.stdout
    assert (told["preset"]["name"], told["calls"][0]["action"]) == ("oracle", "terminate")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--server: 'enum.example:53' is not an address" in refused.stderr


def test_a_plan_is_checked_and_kept(ringfence: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "plan.yaml", tmp_path / "bad.yaml"
    good.write_text(write_plan(sample_plan()))
    bad.write_text("locations: []\n")
    assert "nothing is wrong" in run_ringfence("fst", "plan", "--check", str(good)).stdout
    refused = run_ringfence("fst", "plan", "--check", str(bad))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "numbers: is missing" in refused.stderr
    assert ringfence("fst", "plan", "--keep", str(good)).returncode == 0
    assert json.loads(ringfence("fst", "plan", "--kept", "--json").stdout) == sample_plan().as_json()


def test_a_record_is_shown_signed_and_printed(mediation: RunningMediation, ringfence: Run, tmp_path: Path) -> None:
    record = sample_record({("B3", "east-enum-2"): "FAIL"})
    with mediation.database.connection() as connection:
        save_record(connection, record)
    listed = ringfence("fst", "list").stdout
    assert "R-1" in listed
    assert "FAIL" in listed
    signed = ringfence("fst", "sign", "R-1", "--role", "tester", "--name", "Tess Ter", "--digest", record.digest())
    assert signed.returncode == 0, signed.stderr
    shown = ringfence("fst", "show", "R-1").stdout
    assert "signed as tester: Tess Ter" in shown
    assert f"SHA-256 {record.digest()}" in shown
    assert ringfence("fst", "print", "R-1", "-o", str(tmp_path / "record.pdf")).returncode == 0
    assert (tmp_path / "record.pdf").read_bytes().startswith(b"%PDF")
    changed = ringfence("fst", "change", "R-1", "--case", "B3", "--subject", "east-enum-2", "--verdict", "PASS")
    assert (changed.returncode, "is signed" in changed.stderr) == (4, True)
