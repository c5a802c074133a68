"""What a probe saw of the seeded network: a call for nearly every query, some that nobody was asked about, some that
did what was forbidden. Ingested as a probe's upload is, so that counts and partitions come as in life."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random
from typing import Any

from tests.ingest.sip_samples import sip_upload

from ringfence.database.connection import Database
from ringfence.mediation.devices import register_device
from ringfence.mediation.ingest.store import Ingest
from ringfence.vocabulary import Action, CallResult

_ENDS = (
    (CallResult.ANSWERED, 200, 70),
    (CallResult.NO_ANSWER, 408, 10),
    (CallResult.BUSY, 486, 8),
    (CallResult.CANCELLED, 487, 7),
    (CallResult.NOT_FOUND, 404, 3),
    (CallResult.FAILED, 503, 2),
)
_CODECS = ("PCMA", "PCMU", "G722", "opus")
_SILENT = {
    f"{way}_{what}": 0 for way in ("forward", "backward") for what in ("packets", "lost", "jitter_us", "mos_100")
}


def add_probe_calls(database: Database, queries: Sequence[dict[str, Any]]) -> None:
    """Register probe-1 and ingest what it saw, up to a minute before the newest query."""
    newest = max(query["time"] for query in queries)
    with database.connection() as connection:
        device, _ = register_device(connection, "probe-1", "probe", None, "ada")
    legs = [leg for query in queries if query["time"] < newest - timedelta(minutes=1) for leg in _legs(query)]
    Ingest(database).accept(device.device_id, "sip", 1, 0, sip_upload(legs), newest)


def _legs(query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    dice = Random(query["sequence"])  # the same calls at every run
    if dice.random() < 0.02:  # not captured
        return
    call = _leg(query, dice)
    if query["action"] == Action.TERMINATE and dice.random() < 0.92:
        call |= _refused()
    yield call
    if query["action"] == Action.REDIRECT:
        where = "+12105550199" if dice.random() < 0.9 else call["destination_raw"]
        yield call | {"call_id": f"{call['call_id']}-b", "destination_raw": where,
                      "time": call["time"] + timedelta(milliseconds=40)}  # fmt: skip
    if dice.random() < 0.01:  # and one that came round the SBC's routing
        stray = query | {"sequence": query["sequence"] + 1_000_000, "destination": 18885550100}
        yield _leg(stray, dice)


def _leg(query: dict[str, Any], dice: Random) -> dict[str, Any]:
    result, status, _ = dice.choices(_ENDS, [weight for *_, weight in _ENDS])[0]
    number = query["sequence"] * 2 + query["device_id"]
    lost = dice.choice((0, 0, 0, 2, 9, 40))
    call = {
        "time": query["time"] - timedelta(milliseconds=90),
        "correlation": number * 2_654_435_761 % (1 << 62),
        "source_raw": f"+{query['source']}" if query["source"] else "anonymous",
        "destination_raw": f"+{query['destination']}",
        "call_id": f"{number:x}@192.0.2.20",
        "codec": dice.choice(_CODECS),
        "pdd_ms": dice.randrange(90, 2400),
        "details": "",
    }
    if result is not CallResult.ANSWERED:
        return call | _unanswered(int(result), status)
    return call | {
        "answer_ms": dice.randrange(2500, 14_000),
        "duration_ms": int(dice.expovariate(1 / 150_000)) + 2_000,
        "forward_lost": lost,
        "forward_mos_100": 438 - lost * 3,
        "released_by": dice.choice((1, 2)),
        "attestation": dice.choice((0, 1, 1, 2, 3)),
    }


def _unanswered(result: int, status: int) -> dict[str, Any]:
    nothing = {"answer_ms": -1, "duration_ms": -1, "cause_q850": 0, "codec": ""}
    return nothing | _SILENT | {"result": result, "status": status}


def _refused() -> dict[str, Any]:
    return _unanswered(int(CallResult.REJECTED), 603) | {"pdd_ms": -1}
