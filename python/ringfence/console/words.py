"""The words of `ringfence.vocabulary` as sentences for people."""

from __future__ import annotations

ACTION_WORDS = {"allow": "Allow", "terminate": "Terminate", "redirect": "Redirect", "none": "No opinion"}

REASON_WORDS = {
    "rule": "a rule matched",
    "default": "no rule matched, so the call goes on",
    "protected": "the destination is an emergency number, which no rule can stop",
    "no_policy": "no policy is installed; the device's fail mode acts",
    "health_check": "a health check of the SBC",
    "not_a_number": "the destination is not a number",
    "unknown": "–",
}

RESULT_WORDS = {
    "answered": "Answered",
    "busy": "Busy",
    "no_answer": "No answer",
    "cancelled": "Cancelled",
    "not_found": "Not found",
    "rejected": "Rejected",
    "redirected": "Redirected",
    "unauthorized": "Unauthorized",
    "failed": "Failed",
    "unfinished": "Unfinished",
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


def plain(word: str) -> str:
    """`not_reached` → `not reached`."""
    return word.replace("_", " ")
