"""Call logic of the SBC of lab and tests, run by Kamailio (KEMI, module app_python3) in Debian's own Python.

A call in: transaction → source and destination → ENUM dip → the NAPTR's regular expression, applied by Kamailio →
decision → refuse with 603, or relay to the endpoint that serves the (perhaps changed) number. Without an answer from
any ENUM server the call goes on as dialled (fail-open).
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import KSR  # type: ignore[import-not-found]  # exists inside Kamailio only

from ringfence.acceptance.lab.kamailio.enum_client import EnumClient, Outcome

E164 = re.compile(r"\+[1-9][0-9]{1,14}")
NANP = re.compile(r"(?:\+?1)?([2-9][0-9]{9})")


class SharedTable:
    """SharedState in Kamailio's shared memory (`htable`): one for all workers."""

    def increment(self, name: str) -> int:
        return int(KSR.htable.sht_inc("enum", name))

    def get(self, name: str) -> int:
        return int(KSR.htable.sht_get("enum", name) or 0)

    def put(self, name: str, value: int) -> None:
        KSR.htable.sht_seti("enum", name, value)


class Sbc:
    """The object Kamailio calls; one in each worker."""

    def __init__(self, settings: dict[str, Any]) -> None:
        # The table holds C integers, too small for milliseconds since boot: count from the start of this SBC.
        started = float(settings["started"])
        self._routes: dict[str, str] = settings["routes"]
        self._default_route: str = settings["default_route"]
        self._enum = EnumClient(
            [(host, port) for host, port in settings["enum_servers"]],
            settings["apex"],
            SharedTable(),
            timeout_s=settings["timeout_s"],
            rest_s=settings["rest_s"],
            failures=settings["failures"],
            out_of_service_s=settings["out_of_service_s"],
            clock=lambda: time.monotonic() - started,
        )

    def child_init(self, _rank: int) -> int:
        """Kamailio's hook when a worker starts."""
        return 0

    def ksr_request_route(self, _message: object) -> int:
        """Kamailio's hook for each request."""
        if KSR.is_OPTIONS() and not KSR.pv.get("$rU"):
            return int(KSR.sl.sl_send_reply(200, "OK"))
        if KSR.maxfwd.process_maxfwd(70) < 0:
            return int(KSR.sl.sl_send_reply(483, "Too Many Hops"))
        if KSR.is_CANCEL():
            return relay() if KSR.tm.t_check_trans() > 0 else 1
        if not KSR.is_ACK() and KSR.tmx.t_precheck_trans() > 0:
            KSR.tm.t_check_trans()
            return 1
        if KSR.tm.t_check_trans() == 0:
            return 1
        if KSR.siputils.has_totag() > 0:
            return within_dialog()
        if not KSR.is_INVITE():
            return int(KSR.sl.sl_send_reply(405, "Method Not Allowed"))
        return self.new_call()

    def new_call(self) -> int:
        """Decide on an INVITE that starts a call."""
        # The transaction, with its 100, comes before the ENUM question: otherwise a retransmission that arrives while
        # one worker waits is taken by another, which asks again.
        if KSR.tm.t_newtran() < 0:
            return 1
        KSR.tm.t_reply(100, "Trying")
        KSR.rr.record_route()
        destination = as_e164(str(KSR.pv.get("$rU") or ""))
        source_uri = KSR.pv.get("$ai") or KSR.pv.get("$fu")
        host = ""
        if E164.fullmatch(destination):
            KSR.pv.sets("$rU", destination)
            outcome = self._enum.ask(destination, source_uri)
            host = apply(outcome, destination)
            note = json.dumps({"destination": destination, "source": source_uri, **outcome._asdict(), "host": host})
            KSR.info(f"CALL {note}\n")
        if host.startswith("terminate."):
            return int(KSR.tm.t_reply(603, "Decline"))
        KSR.pv.sets("$du", self._routes.get(str(KSR.pv.get("$rU")), self._default_route))
        return relay()


def as_e164(number: str) -> str:
    """Number as this SBC's dial plan (North America) reads it; others are left alone."""
    match = NANP.fullmatch(number)
    return f"+1{match.group(1)}" if match else number


def apply(outcome: Outcome, destination: str) -> str:
    """Put the result of the regular expression into the Request-URI; the host tells the decision ("" for none)."""
    if outcome.regexp is None:
        return ""
    dialled = KSR.pv.get("$ru")
    # subst_uri() works on the Request-URI, so that holds the Application Unique String for a moment.
    KSR.pv.sets("$ru", destination)
    if KSR.textops.subst_uri(outcome.regexp) < 0:
        KSR.pv.sets("$ru", dialled)
        return ""
    return str(KSR.pv.get("$rd") or "")


def within_dialog() -> int:
    """Relay a request of a call that exists."""
    if KSR.rr.loose_route() > 0:
        return relay()
    if KSR.is_ACK():
        return relay() if KSR.tm.t_check_trans() > 0 else 1
    return int(KSR.sl.sl_send_reply(404, "Not here"))


def relay() -> int:
    """Forward the request; a failure is answered unless the transaction has done so."""
    if KSR.tm.t_relay() < 0 and not KSR.is_INVITE():
        KSR.sl.sl_reply_error()
    return 1


def mod_init() -> Sbc:
    """Kamailio's entry point."""
    return Sbc(json.loads(Path(os.environ["SBC_SETTINGS"]).read_text(encoding="utf-8")))
