"""Messages between probe and mediation: what is packed is unpacked, bounds hold at both ends, all else is refused."""

from __future__ import annotations

import json
import zlib
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.capture.messages import one_call

from ringfence.capture.kept_ladder import MAX_PACKED, MAX_UNPACKED, pack_ladders, unpack_ladders
from ringfence.errors import InvalidInputError


def test_what_is_packed_is_unpacked() -> None:
    messages = [message | {"transport": "tcp"} for message in one_call()]
    ladders = [{"messages": messages, "left_out": 2}, {"messages": [], "left_out": 0}]
    assert unpack_ladders(pack_ladders(ladders)) == ladders


def test_what_does_not_fit_is_left_out_from_the_end_and_counted() -> None:
    dice = Random(1)
    (first, *_) = one_call()
    messages = [first | {"transport": "udp", "text": dice.randbytes(200_000).hex()} for _ in range(16)]
    body = pack_ladders([{"messages": messages, "left_out": 1}])
    assert len(body) <= MAX_PACKED
    (kept,) = unpack_ladders(body)
    assert 0 < len(kept["messages"]) < 16
    assert kept["messages"] == messages[: len(kept["messages"])]
    assert kept["left_out"] == 1 + 16 - len(kept["messages"])


@pytest.mark.parametrize(
    "change",
    [
        {"time_us": -1}, {"time_us": "1"}, {"text": 7}, {"source": "192.0.2.1"}, {"source": "host:5060"},
        {"destination": "192.0.2.1:99999"}, {"source": None}, {"transport": 1},
    ],
)  # fmt: skip
def test_a_message_that_could_not_be_shown_is_refused(change: dict[str, Any]) -> None:
    (first, *_) = one_call()
    with pytest.raises(InvalidInputError):
        unpack_ladders(zlib.compress(json.dumps([{"messages": [first | change], "left_out": 0}]).encode()))


def test_no_more_is_unpacked_than_would_be_kept() -> None:
    bomb = zlib.compress(b" " * (MAX_UNPACKED + 1))
    assert len(bomb) < 20_000
    with pytest.raises(InvalidInputError, match="larger than 16 MiB"):
        unpack_ladders(bomb)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(zlib.compress))
def test_other_bytes_are_refused_and_nothing_worse(body: bytes) -> None:
    try:
        unpack_ladders(body)
    except InvalidInputError:
        return
    assert isinstance(json.loads(zlib.decompress(body)), list)
