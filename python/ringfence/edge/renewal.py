"""The next certificate of an enrolled edge: in time before the one it has ends, and when the mediation asks for it.

A new key each time. The pair is on the disk before it is shown, and the mediation lets the one before count until the
new one was used, and some minutes more: cut off at any point, the edge is still let in.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import structlog

from ringfence.edge.enrolment import Identity
from ringfence.edge.failures import Failures
from ringfence.edge.mediation_client import MediationClient
from ringfence.errors import RingfenceError, UnavailableError
from ringfence.trust.certificates import DEVICE_LIFETIME, make_request, read_certificate

# With a third left there is a month to get the mediation back.
RENEW_BEFORE = DEVICE_LIFETIME / 3
LOOK_S = 1.0
_TRY_AGAIN_S = 60.0
log = structlog.get_logger()


class Renewal:
    """Watches one identity."""

    def __init__(self, identity: Identity, failures: Failures, renew_before: timedelta = RENEW_BEFORE) -> None:
        self._identity = identity
        self._failures = failures
        self._renew_before = renew_before

    async def run(self, client: MediationClient) -> None:
        """Renew whenever it is due, until cancelled."""
        expires_at = self._identity.expires_at()
        while True:
            if self._identity.is_renewal_wanted or self._is_due(expires_at):
                try:
                    expires_at = await self._renew(client)
                except RingfenceError as error:
                    self._failures.tell("certificate.renewal_failed", error)
                    await asyncio.sleep(_TRY_AGAIN_S)
            await asyncio.sleep(LOOK_S)

    def _is_due(self, expires_at: datetime | None) -> bool:
        return expires_at is not None and expires_at - datetime.now(UTC) < self._renew_before

    async def _renew(self, client: MediationClient) -> datetime:
        key, request = await asyncio.to_thread(make_request, "renewal")
        certificate = await client.next_certificate(request)
        try:
            await asyncio.to_thread(self._identity.replace_certificate, key, certificate)
        except OSError as error:
            raise UnavailableError(f"the new certificate cannot be kept: {error}") from None
        facts = read_certificate(certificate)
        log.info("certificate.renewed", not_after=str(facts.not_after), fingerprint=facts.fingerprint)
        return facts.not_after
