"""Why a recorded call was decided as it was: explained under the version that decided it, where and when it came in."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from psycopg import Connection

from ringfence.analytics.calls import Call, read_call, stream_of
from ringfence.database.sight import require_full_numbers
from ringfence.errors import InvalidInputError
from ringfence.mediation.places import read_places
from ringfence.policy.explain import Question, explain
from ringfence.vocabulary import NumberClass

_NAME = re.compile(
    r"(?:(?P<device>[^/]{1,64})/(?P<journal>\d{1,19})/(?P<number>\d{1,5})|(?P<stream>\d{1,9}))/(?P<sequence>\d{1,18})"
)
_COMPARED = ("action", "rule", "target")


def explain_event(connection: Connection, name: str, now: datetime) -> dict[str, Any]:
    """Explain `STREAM/SEQUENCE`, as a call's JSON names them, or `DEVICE/JOURNAL/STREAM/SEQUENCE`.

    The answer of `explain`, with `call` (as recorded), `agrees`, and a caution for whatever may make them differ.
    InvalidInputError, NotFoundError.
    """
    require_full_numbers("explaining a recorded call")
    call = read_call(connection, *_place_of(connection, name))
    device = call.device if call.device in read_places(connection).devices else None
    question = Question(
        source=None if call.source_class == NumberClass.ABSENT.word else call.source,
        destination=call.destination,
        time=call.reported_time or call.time,
        device=device,
        client=call.peer.rpartition(":")[0].strip("[]"),
        version=call.policy_version,
    )
    answer = explain(connection, question, now)
    recorded = call.as_json()
    agrees = all(recorded[field] == answer[field] for field in _COMPARED)
    return answer | {
        "call": recorded,
        "agrees": agrees,
        "cautions": [*answer["cautions"], *_differences(call, answer, agrees, device)],
    }


def _place_of(connection: Connection, name: str) -> tuple[int, int]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise InvalidInputError(f"event: {name!r} is neither STREAM/SEQUENCE nor DEVICE/JOURNAL/STREAM/SEQUENCE")
    sequence = int(match["sequence"])
    if match["stream"] is not None:
        return int(match["stream"]), sequence
    return stream_of(connection, match["device"], int(match["journal"]), int(match["number"])), sequence


def _differences(call: Call, answer: dict[str, Any], agrees: bool, device: str | None) -> list[str]:
    found = []
    if device is None:
        found.append(f"device {call.device!r} is not registered any more: explained for the first site")
    if not agrees:
        was = f"{call.action} by {call.rule!r}" if call.rule else f"{call.action} ({call.reason})"
        would = f"{answer['action']} by {answer['rule']!r}" if answer["rule"] else answer["action"]
        found.append(
            f"recorded was {was}, explained is {would}: a rate was exceeded, a dynamic list was another then, "
            "or the fail mode answered"
        )
    return found
