"""`/metrics` and `/healthz` over HTTP: what docs/metrics.md names, no more, no less; health is the data plane alone."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from tests.edge.edge_process import Edge
from tests.edge.partners import CREDENTIAL, FakeMediation, document, open_server, wait_until

from ringfence.edge.health import what_is_wrong

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_metrics_are_those_documented_and_tell_what_happened(tmp_path: Path, mediation: FakeMediation) -> None:
    credential = tmp_path / "credential"
    credential.write_text(CREDENTIAL)
    credential.chmod(0o600)
    mediation.policy = (3, document(3))
    flags = ("--mediation", mediation.address, "--credential-file", str(credential))
    edge = Edge(tmp_path / "data", *flags, RINGFENCE_EDGE_HEP_OUT_TO="udp:127.0.0.1:9")
    try:
        wait_until(lambda: edge.metric("ringfence_enum_policy_version") == 3, "version 3 is enforced")
        edge.ask(40)
        wait_until(lambda: edge.metric("ringfence_enum_uplink_events_total") == 40, "events are uploaded")
        wait_until(lambda: "clock_offset" in edge.get("/metrics")[1], "a heartbeat is answered")
        text = edge.get("/metrics")[1]
    finally:
        edge.stop()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {(one.name, *one.labels.values()): one.value for f in families.values() for one in f.samples}
    named = re.findall(r"^\| `(ringfence_enum_\w+)", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name.removesuffix("_total") for name in named} == set(families)
    assert samples["ringfence_enum_decisions_total", "allow"] == 40
    assert samples["ringfence_enum_responses_total", "0"] == 40
    assert samples["ringfence_enum_dropped_total", "malformed"] == 0
    assert samples["ringfence_enum_latency_microseconds_count",] == 40
    assert samples["ringfence_enum_latency_microseconds_bucket", "+Inf"] == 40
    assert 0 < samples["ringfence_enum_latency_microseconds_sum",] < 40 * 1e6
    assert samples["ringfence_enum_journal_durable", "0"] == samples["ringfence_enum_journal_acknowledged", "0"] == 40
    assert samples["ringfence_enum_journal_lag",] == samples["ringfence_enum_journal_lost_total",] == 0
    assert 0 <= samples["ringfence_enum_policy_age_seconds",] < 60


def test_health_is_good_without_a_mediation(tmp_path: Path) -> None:
    edge = Edge(tmp_path / "data", "--mediation", "http://127.0.0.1:9")
    try:
        assert edge.get("/healthz") == (200, "ok\n")
        assert edge.metric("ringfence_enum_health_checks_total") == 1
    finally:
        edge.stop()


def test_a_data_plane_that_does_not_answer_is_named(tmp_path: Path) -> None:
    server = open_server(tmp_path)
    addresses = server.addresses
    assert what_is_wrong(addresses, "e164.internal") is None
    assert what_is_wrong(addresses, "e164.example") == f"{addresses[0]}: answers RCODE 5"
    server.stop()
    assert what_is_wrong(addresses, "e164.internal") == f"{addresses[0]}: Connection refused"
    assert what_is_wrong([], "e164.internal") == "the data plane listens nowhere"
