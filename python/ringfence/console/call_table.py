"""The call log's table: its columns and rows for each dataset. Pure."""

from __future__ import annotations

from typing import Any

from ringfence.analytics.calls import AnyCall, Call
from ringfence.analytics.sip_calls import SipCall
from ringfence.console.address import iso, link
from ringfence.console.numbers import number_cells
from ringfence.vocabulary import Dataset, NumberClass

# Words that stand where a call had no number: to the engine it has none.
UNSPOKEN = {NumberClass.ABSENT.word}

_ENUM: list[dict[str, Any]] = [
    {"field": "time", "headerName": "Time", ":cellRenderer": "rf.cells.time", ":minWidth": "rf.narrow() ? 86 : 116",
     "flex": 1.1},
    {"colId": "pair", "headerName": "Source, destination", ":cellRenderer": "rf.cells.pair", "minWidth": 140,
     "flex": 1.6, ":hide": "!rf.narrow()"},
    {"field": "source", "headerName": "Source", ":cellRenderer": "rf.cells.number", "minWidth": 128, "flex": 1.4,
     ":hide": "rf.narrow()"},
    {"field": "destination", "headerName": "Destination", ":cellRenderer": "rf.cells.number", "minWidth": 128,
     "flex": 1.4, ":hide": "rf.narrow()"},
    {"field": "action", "headerName": "Action", ":cellRenderer": "rf.cells.action", "minWidth": 118},
    {"field": "rule", "headerName": "Rule", ":cellRenderer": "rf.cells.rule", "minWidth": 110, "flex": 1.2,
     ":hide": "rf.narrow()"},
    {"field": "direction", "headerName": "Direction", ":cellRenderer": "rf.cells.word", "minWidth": 100,
     ":hide": "rf.narrow()"},
    {"field": "device", "headerName": "Device", "minWidth": 100, ":hide": "rf.narrow()"},
    {"field": "policy_version", "headerName": "Policy", "minWidth": 80, "flex": 0.6, "type": "rightAligned",
     ":hide": "rf.narrow()"},
    {"colId": "tools", "headerName": "", ":cellRenderer": "rf.cells.tools", "minWidth": 84, "maxWidth": 84,
     ":hide": "rf.narrow()"},
]  # fmt: skip
# Time, source and destination are the same for both.
_SIP: list[dict[str, Any]] = [
    *_ENUM[:4],
    {"field": "result", "headerName": "Result", ":cellRenderer": "rf.cells.action", "minWidth": 118},
    {"field": "duration", "headerName": "Duration", "minWidth": 96, "flex": 0.8, "type": "rightAligned"},
    {"field": "mos", "headerName": "MOS", "minWidth": 76, "flex": 0.6, "type": "rightAligned",
     ":hide": "rf.narrow()"},
    {"field": "status", "headerName": "Status", "minWidth": 76, "flex": 0.6, "type": "rightAligned",
     ":hide": "rf.narrow()"},
    {"field": "direction", "headerName": "Direction", ":cellRenderer": "rf.cells.word", "minWidth": 100,
     ":hide": "rf.narrow()"},
    {"field": "device", "headerName": "Device", "minWidth": 100, ":hide": "rf.narrow()"},
]  # fmt: skip

COLUMNS = {Dataset.ENUM: _ENUM, Dataset.SIP: _SIP}


def call_key(call: AnyCall) -> str:
    """Names a call among all of both datasets."""
    return f"{call.dataset}/{call.stream}/{call.sequence}"


def call_row(call: AnyCall) -> dict[str, Any]:
    """A call as the table shows it."""
    row = {
        "key": call_key(call),
        "time": iso(call.time),
        **number_cells(call.source, call.destination),
        "direction": call.direction,
        "device": call.device,
    }
    if isinstance(call, SipCall):
        mos = "–" if call.mos is None else f"{call.mos:.2f}"
        return row | {
            "result": call.result,
            "duration": clock(call.duration_ms),
            "mos": mos,
            "status": call.status or "–",
        }
    return row | {"action": call.action, "rule": call.rule, "policy_version": call.policy_version or None,
                  "explain": explain_link(call)}  # fmt: skip


def explain_link(call: Call) -> str:
    """The page Explain with this call's numbers, device and SBC."""
    source = "" if call.source in UNSPOKEN else call.source
    client = call.peer.rpartition(":")[0].strip("[]")
    fields = {"source": source, "destination": call.destination, "device": call.device, "client": client}
    return link("/policy/explain", fields)


def clock(milliseconds: int | None) -> str:
    """`1:02:03`, `2:03`, `3.4 s`; a dash for what did not happen."""
    if milliseconds is None:
        return "–"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
