"""A real Kamailio with SIPp behind it as the SBC of a lab's site."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ringfence.acceptance.lab.kamailio.running import EnumBehaviour, Sbc
from ringfence.acceptance.sbc.presets import PRESETS, Preset
from ringfence.acceptance.sbc_side import SeenCall

_NUMBER = re.compile(r"sip:(\+[0-9]+)@")
_HOLD_MS = 200
_DECLINED, _OK = 603, 200


class RealSbc:
    """Kamailio's decisions as its callers saw them, and the ENUM server that it says it asked."""

    makes_calls = True

    def __init__(self, folder: Path, host: str, servers: Sequence[tuple[str, int]], names: Sequence[str], apex: str,
                 target: str) -> None:  # fmt: skip
        behaviour = EnumBehaviour(timeout_s=1.0, failures=2, out_of_service_s=2.0)
        self.preset: Preset = PRESETS["kamailio"]
        self.title = "Kamailio with SIPp"
        self._names = tuple(names)
        self._sbc = Sbc(folder, servers, apex, [target], behaviour, host=host)
        self.figures = asdict(behaviour)

    def start(self) -> None:
        """Start Kamailio and the endpoints."""
        self._sbc.__enter__()

    def stop(self) -> None:
        """Stop them."""
        self._sbc.stop()

    def call(self, source: str, destination: str) -> SeenCall:
        """One SIP call, to its end."""
        before = len(self._sbc.dips())
        result = self._sbc.call(source, destination, hold_ms=_HOLD_MS)
        dips = self._sbc.dips()[before:]
        dip = dips[-1] if dips else {}
        server = dip.get("server")
        name = self._names[server] if isinstance(server, int) else None
        found = _NUMBER.match(result.request_uri or "")
        number = found[1] if found else destination
        if result.final_code == _DECLINED:
            action, number = "terminate", ""
        elif result.final_code != _OK:
            action, number = "fail", ""
        elif number != destination:
            action = "redirect"
        else:
            action = "allow" if dip.get("status") == "found" else "proceed"
        detail = f"SIP {result.final_code}, answered by {result.answered_by or 'nobody'}, ENUM {dip.get('status')}"
        return SeenCall(source, destination, action, number, name, result.took_s * 1000, detail)
