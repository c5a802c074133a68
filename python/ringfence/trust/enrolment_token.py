"""The token that invites a device: one word to copy, with which its first contact is already authenticated.

rfe_ + base64url of JSON {"m": [addresses of the mediations], "f": SHA-256 of the certificate | null, "s": secret}
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Self

from ringfence.errors import InvalidInputError
from ringfence.trust.address import check_address

_PREFIX = "rfe_"
_LONGEST = 4096
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class EnrolmentToken:
    """How to reach the mediation, how to know it, and what to show it."""

    addresses: tuple[str, ...]
    fingerprint: str | None
    secret: str = ""

    def encode(self) -> str:
        """As it is printed."""
        tree = {"m": self.addresses, "f": self.fingerprint, "s": self.secret}
        text = json.dumps(tree, separators=(",", ":")).encode("utf-8")
        return _PREFIX + base64.urlsafe_b64encode(text).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one. InvalidInputError, which does not repeat it: it is a secret."""
        fault = InvalidInputError(
            "token: is not one of `ringfence device invite`; copy the whole word that begins with rfe_"
        )
        body = "".join(text.split()).removeprefix(_PREFIX)
        if len(body) > _LONGEST:
            raise fault
        try:
            tree = json.loads(base64.b64decode(body + "=" * (-len(body) % 4), b"-_", validate=True))
            addresses, fingerprint, secret = tuple(tree["m"]), tree["f"], tree["s"]
        except (ValueError, KeyError, TypeError):
            raise fault from None
        strings = [*addresses, secret, *([fingerprint] if fingerprint is not None else [])]
        if not addresses or not secret or not all(isinstance(one, str) for one in strings):
            raise fault
        if fingerprint is not None and not _FINGERPRINT.fullmatch(fingerprint):
            raise fault
        for address in addresses:
            check_address(address, "token")
        return cls(addresses, fingerprint, secret)
