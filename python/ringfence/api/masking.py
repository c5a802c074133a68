"""The second line of masking: no text of the API has a whole number for who sees them masked.

The database shows such a one no whole number of a call (`database.sight`). Numbers stand elsewhere too: in lists, in
rules, in what a new route may say. Whatever leaves as text is gone over once more here; files that are not text come
only from what the database showed.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Send

from ringfence.database.sight import HIDDEN_DIGITS, MASK, present_sight

# E.164 has seven to fifteen digits with its country code; a shorter one is a service. In addresses `+` is `%2B`.
# What is masked already stays.
_NUMBER = re.compile(rb"(?:\+|%2B|sips?:|tel:)\+?[0-9]{7,15}(?![0-9]|\xe2\x80\xa2)", re.IGNORECASE)
_HIDDEN = MASK.encode() * HIDDEN_DIGITS
_TEXT = ("application/json", "application/x-ndjson", "text/", "image/svg+xml", "application/yaml")


def masked(text: bytes) -> bytes:
    """Each number without its last digits."""
    return _NUMBER.sub(lambda found: found[0][:-HIDDEN_DIGITS] + _HIDDEN, text)


def mask_answers(send: Send) -> Send:
    """Send on what comes, masked where the asker's sight is. Bodies come in whole lines, so no number is cut in two."""
    started: list[Message] = []

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            is_text = Headers(raw=message["headers"]).get("content-type", "").startswith(_TEXT)
            if present_sight().is_masked and is_text:
                started.append(message)  # its length is known with the body
                return
        elif message["type"] == "http.response.body" and present_sight().is_masked and started:
            message = {**message, "body": masked(message.get("body", b""))}
            start = started[0]
            if start["type"] == "http.response.start":
                headers = MutableHeaders(raw=start["headers"])
                if message.get("more_body"):
                    del headers["content-length"]
                elif "content-length" in headers:
                    headers["content-length"] = str(len(message["body"]))
                await send(start)
                started[0] = {"type": "sent"}
        await send(message)

    return sending
