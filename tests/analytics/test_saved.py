"""Saved views: one's own and shared ones, checked, audited, by API."""

from __future__ import annotations

import httpx
import pytest
from tests.mediation_server import RunningMediation

from ringfence.vocabulary import Role

WORDS = {"dataset": "sip", "view": "asr", "grouping": "hour", "range": "7d", "direction": "inbound"}


def names(client: httpx.Client) -> list[tuple[str, bool]]:
    return [(view["name"], view["shared"]) for view in client.get("saved_views").json()]


def test_a_saved_view_is_ones_own_until_it_is_shared(mediation: RunningMediation) -> None:
    ada, eve = mediation.client(Role.ANALYST), mediation.client(Role.VIEWER)
    saved = ada.put("saved_views/Inbound ASR", json={"words": WORDS | {"device": ""}})
    assert saved.status_code == 200, saved.text
    assert saved.json()["words"] == WORDS
    assert (names(ada), names(eve)) == ([("Inbound ASR", False)], [])
    ada.put("saved_views/Inbound ASR", json={"words": WORDS | {"range": "24h"}, "shared": True})
    assert names(eve) == [("Inbound ASR", True)]
    assert eve.get("saved_views").json()[0]["words"]["range"] == "24h"
    # Another's cannot be taken away, nor may a viewer share.
    assert eve.delete("saved_views/Inbound ASR").status_code == 404
    assert eve.put("saved_views/Mine", json={"words": WORDS, "shared": True}).status_code == 403
    assert eve.put("saved_views/Mine", json={"words": WORDS}).status_code == 200
    assert names(eve) == [("Mine", False), ("Inbound ASR", True)]
    assert ada.delete("saved_views/Inbound ASR").status_code == 204
    assert (names(ada), names(eve)) == ([], [("Mine", False)])
    trail = mediation.client().get("audit", params={"action": "saved_view"}).json()
    assert [entry["action"] for entry in trail["entries"]] == [
        "saved_view.delete", "saved_view.save", "saved_view.save", "saved_view.save",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"view": "asr", "colour": "red"}, "words"),
        ({"view": "nothing"}, "view"),
        ({}, "view"),
        ({"view": "asr", "dataset": "hep"}, "dataset"),
        ({"view": "asr", "direction": "up"}, "direction"),
        ({"view": "asr", "compare": "year"}, "compare"),
        ({"view": "asr", "range": "2h"}, "range"),
        ({"view": "asr", "start": "2026-11-20T12:00:00Z"}, "end"),
        ({"view": "asr", "rule": "x" * 300}, "rule"),
    ],
)
def test_what_makes_no_sense_is_not_saved(mediation: RunningMediation, words: dict[str, str], field: str) -> None:
    client = mediation.client(Role.VIEWER)
    refused = client.put("saved_views/x", json={"words": words})
    assert refused.status_code == 400
    assert refused.json()["message"].startswith(f"{field}: ")
    assert client.put("saved_views/ x", json={"words": WORDS}).status_code == 400
    assert names(client) == []
