"""The ladder of a call: columns, arrows, and that no text of a stranger becomes anything but text."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ringfence.capture.ladder import MAX_COLUMNS, MAX_ROWS, Mark, build_ladder, merge_messages, write_text

SVG = "{http://www.w3.org/2000/svg}"
CALLER, PROXY, CALLED = "192.0.2.1:5060", "192.0.2.2:5060", "[2001:db8::1]:5060"


def message(source: str, destination: str, text: str, time_us: int = 0) -> dict[str, Any]:
    return {"time_us": time_us, "source": source, "destination": destination, "transport": "udp", "text": text}


def test_each_address_is_a_column_and_each_message_an_arrow() -> None:
    invite = "INVITE sip:b@x SIP/2.0\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"
    ladder = build_ladder(
        [
            message(CALLER, PROXY, invite, 10),
            message(PROXY, CALLED, invite, 20),
            message(CALLED, PROXY, "SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n", 30),
        ]
    )
    assert ladder.columns == (CALLER, PROXY, CALLED)
    assert [(step.source, step.destination, step.label, step.note) for step in ladder.steps] == [
        (0, 1, "INVITE", "SDP"),
        (1, 2, "INVITE", "SDP"),
        (2, 1, "180 Ringing", "(INVITE)"),
    ]
    drawing = ElementTree.fromstring(ladder.svg())
    assert len(drawing.findall(f"{SVG}g")) == 3
    assert "+0.000020" in ladder.svg()


def test_marks_stand_among_the_messages_and_an_address_without_port_in_its_column() -> None:
    marks = [Mark(15, "192.0.2.2", "enum-1", "ENUM terminate", "rule premium"), Mark(16, "192.0.2.9", "enum-1", "ENUM")]
    ladder = build_ladder([message(CALLER, PROXY, "INVITE b SIP/2.0", 10), message(PROXY, CALLER, "x", 20)], 0, marks)
    assert ladder.columns == (CALLER, PROXY, "enum-1", "192.0.2.9")
    assert [(step.source, step.destination, step.label, bool(step.text)) for step in ladder.steps] == [
        (0, 1, "INVITE", True), (1, 2, "ENUM terminate", False), (3, 2, "ENUM", False), (1, 0, "x", True),
    ]  # fmt: skip


def test_what_two_probes_saw_stands_once_and_retransmissions_stay() -> None:
    invite, ringing, bye = (message(CALLER, PROXY, text, time) for text, time in (("I", 1), ("R", 20), ("B", 30)))
    again = invite | {"time_us": 11}
    one, other = [invite, again, ringing], [invite | {"time_us": 2}, bye]
    assert merge_messages([one, other]) == [invite, again, ringing, bye]
    assert [text["text"] for text in merge_messages([other, one])] == ["I", "I", "R", "B"]
    assert merge_messages([]) == []


def test_messages_are_written_as_text_with_time_and_ends() -> None:
    messages = [message(CALLER, PROXY, "INVITE\r\n\r\n", 10), message(PROXY, CALLED, "BYE\r\n\r\n", 1_500_010)]
    assert write_text(messages) == (
        f"# +0.000000 s  {CALLER} -> {PROXY}  udp\nINVITE\n\n\n# +1.500000 s  {PROXY} -> {CALLED}  udp\nBYE\n\n"
    )


def test_a_ladder_without_messages_is_a_drawing_too() -> None:
    assert ElementTree.fromstring(build_ladder([]).svg()).tag == f"{SVG}svg"


def test_more_than_a_reader_takes_in_is_counted() -> None:
    many = [message(CALLER, CALLED, "OPTIONS sip:x SIP/2.0\r\n\r\n")] * (MAX_ROWS + 7)
    assert build_ladder(many).left_out == 7
    crowd = [message(f"192.0.2.{number}:1", CALLED, "BYE sip:x SIP/2.0\r\n\r\n") for number in range(40)]
    assert len(build_ladder(crowd).columns) == MAX_COLUMNS


@given(st.text(), st.text(max_size=60), st.text(max_size=60))
def test_hostile_text_stays_text(text: str, source: str, destination: str) -> None:
    hostile = f'{text}</title><script>alert(1)</script><a href="javascript:x" onload="y">'
    drawing = ElementTree.fromstring(
        build_ladder([message(source + hostile, destination, hostile), message(CALLER, CALLER, hostile)]).svg()
    )
    assert {element.tag for element in drawing.iter()} <= {
        f"{SVG}{name}" for name in ("svg", "style", "defs", "marker", "path", "text", "line", "g", "title")
    }
    assert not any(name.startswith("on") or "href" in name for element in drawing.iter() for name in element.attrib)
