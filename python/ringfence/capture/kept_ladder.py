"""Messages of calls on their way from a probe to the mediation (docs/contracts.md 2): JSON, packed by zlib. Pure.

Both ends hold to the same bounds: a probe leaves messages out until its answer fits, and says how many; the mediation
unpacks no more than it would keep, and takes nothing that the ladder or the capture file could not show.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from ringfence.errors import InvalidInputError

# Octets on the wire and in the database, and unpacked. One call has 64 KiB of messages by default, 4 MiB at most.
MAX_PACKED = 1 << 20
MAX_UNPACKED = 16 << 20
_LEVEL = 6
_MOST_US = 1 << 62

# As the probe keeps them: `messages` and `left_out` of each call.
KeptLadder = dict[str, Any]


def pack_ladders(ladders: Sequence[KeptLadder]) -> bytes:
    """The body of an answer. What does not fit is left out from the end of each call, and counted."""
    kept: list[KeptLadder] = [{"messages": list(one["messages"]), "left_out": int(one["left_out"])} for one in ladders]
    while True:
        octets = json.dumps(kept, separators=(",", ":")).encode()
        body = zlib.compress(octets, _LEVEL)
        if len(body) <= MAX_PACKED and len(octets) <= MAX_UNPACKED:
            return body
        for one in kept:
            half = len(one["messages"]) // 2
            one["left_out"] += len(one["messages"]) - half
            del one["messages"][half:]


def unpack_ladders(body: bytes) -> list[KeptLadder]:
    """What `pack_ladders` packed. InvalidInputError for anything else, and for more than fits."""
    packed = zlib.decompressobj()
    try:
        octets = packed.decompress(body, MAX_UNPACKED)
        if not packed.eof or packed.unused_data:
            raise InvalidInputError(f"body: is cut off, or unpacked larger than {MAX_UNPACKED >> 20} MiB")
        ladders = json.loads(octets)
    except (zlib.error, ValueError, RecursionError) as error:
        raise InvalidInputError(f"body: is not JSON packed by zlib: {error}") from None
    if not isinstance(ladders, list):
        raise InvalidInputError("body: is not a list of calls")
    return [_checked(one) for one in ladders]


def _checked(ladder: Any) -> KeptLadder:
    try:
        left_out = ladder["left_out"]
        if not (isinstance(left_out, int) and 0 <= left_out < 1 << 32):
            raise ValueError("left_out")
        return {"messages": [_message(one) for one in ladder["messages"]], "left_out": left_out}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(f"body: is not a list of calls with messages: {error!r}") from None


def _message(message: Any) -> dict[str, Any]:
    time_us, text, transport = message["time_us"], message["text"], message.get("transport", "udp")
    if not (isinstance(time_us, int) and 0 <= time_us < _MOST_US):
        raise ValueError("time_us")
    if not (isinstance(text, str) and isinstance(transport, str)):
        raise TypeError("text")
    for end in ("source", "destination"):
        host, _, port = message[end].rpartition(":")
        ip_address(host.strip("[]"))
        if not 0 <= int(port) < 1 << 16:
            raise ValueError(end)
    return {
        "time_us": time_us,
        "source": message["source"],
        "destination": message["destination"],
        "transport": transport,
        "text": text,
    }
