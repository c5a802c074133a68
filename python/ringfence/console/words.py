"""The words of `ringfence.vocabulary` as sentences for people."""

from __future__ import annotations

from ringfence.analytics.reading import ACTION_WORDS as ACTION_WORDS
from ringfence.analytics.reading import RESULT_WORDS as RESULT_WORDS
from ringfence.analytics.reading import plain as plain

REASON_WORDS = {
    "rule": "a rule matched",
    "default": "no rule matched, so the call goes on",
    "protected": "the destination is an emergency number, which no rule can stop",
    "no_policy": "no policy is installed; the device's fail mode acts",
    "health_check": "a health check of the SBC",
    "not_a_number": "the destination is not a number",
    "unknown": "–",
}

VERDICT_WORDS = {"ignored": "Ignored", "unasked": "Not asked", "unproven": "Unproven", "followed": "Followed"}
VERDICT_HINTS = {
    "ignored": "did what every decision about them forbade",
    "unasked": "no ENUM server was asked about them",
    "unproven": "what was seen does not tell",
    "followed": "did what was decided",
}
VERDICT_COLOURS = {"ignored": "#d9534f", "unasked": "#d98a3a", "unproven": "#8995a1", "followed": "#2f9e6a"}
MODE_WORDS = {"enforce": "Enforce", "monitor": "Monitor", "off": "Off"}
DIRECTION_WORDS = {"any": "Any", "inbound": "Inbound", "outbound": "Outbound", "internal": "Internal"}

# Verdict on a rule → icon, words.
VERDICTS = {
    "decides": ("check_circle", "decides"),
    "would_decide": ("visibility", "would decide (monitored)"),
    "depends_on_rate": ("speed", "depends on the rate"),
    "passed_over": ("remove_circle_outline", "does not match"),
    "not_reached": ("more_horiz", "not reached"),
    "off": ("do_not_disturb_on", "off"),
}
