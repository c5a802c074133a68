"""What the mediation asks of the messages that this probe keeps, answered from its disk (docs/decisions/0022).

```text
mediation: somebody looks at a call ──► question ── long poll ──► here ── Call-ID, begin ──► evidence.sqlite
                                                                    └── POST ──► messages, packed; or why there are none
```
The probe asks whether it is asked: it opens no port. Nothing leaves that nobody asked for, and with
`probe.evidence.enabled = false` nothing at all, also not what an earlier setting kept.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import structlog

from ringfence.capture.kept_ladder import pack_ladders
from ringfence.edge.backoff import Backoff
from ringfence.edge.evidence import Evidence, read_ladders
from ringfence.edge.failures import Failures
from ringfence.edge.mediation_client import MediationClient
from ringfence.errors import InvalidInputError, NotFoundError, RingfenceError, UnavailableError
from ringfence.vocabulary import EvidenceOutcome

# Half of what proxies and middleboxes commonly allow an idle request.
POLL_S = 25.0
# A mediation that does not know the question is older than this probe: it is asked again after an upgrade's time.
UNKNOWN_S = 60.0
# Calls of one Call-ID in one period; more is somebody's game.
MOST_CALLS = 16

log = structlog.get_logger()


class EvidenceAnswers:
    """Answers questions as they come, for ever."""

    def __init__(self, file: Path, evidence: Evidence | None, *, poll_s: float = POLL_S) -> None:
        """`evidence`: what fills the file; None: this probe keeps no messages and says so."""
        self._file = file
        self._evidence = evidence
        self._poll_s = poll_s
        # Shared by the parts of one agent, which puts its own here.
        self.failures = Failures()

    async def run(self, client: MediationClient) -> None:
        """Answer until cancelled."""
        backoff = Backoff()
        while True:
            try:
                asked = await client.questions(self._poll_s)
                await asyncio.gather(*(self._answer(client, question) for question in asked))
            except InvalidInputError as error:
                log.info("evidence.not_asked", error=error.message)
                await asyncio.sleep(UNKNOWN_S)
            except RingfenceError as error:
                self.failures.tell("evidence.poll_failed", error)
                await asyncio.sleep(backoff.next_s())
            else:
                backoff.reset()

    async def _answer(self, client: MediationClient, question: dict[str, Any]) -> None:
        try:
            request, call_id = int(question["request"]), str(question["call_id"])
            period = int(question["from_us"]), int(question["until_us"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnavailableError(f"mediation {client.address}: asks otherwise than agreed: {error!r}") from None
        outcome, body = await self._find(call_id, *period)
        try:
            await client.answer(request, outcome.word, body)
        except InvalidInputError as error:
            log.info("evidence.answer_not_wanted", error=error.message)
            return
        log.info("evidence.answered", outcome=outcome.word, octets=len(body))

    async def _find(self, call_id: str, from_us: int, until_us: int) -> tuple[EvidenceOutcome, bytes]:
        if self._evidence is None:
            return EvidenceOutcome.DISABLED, b""
        try:
            try:
                return await asyncio.to_thread(self._read, call_id, from_us, until_us)
            except NotFoundError:
                # A record is on its way up at once; the messages reach the disk a second later.
                await self._evidence.settle()
                return await asyncio.to_thread(self._read, call_id, from_us, until_us)
        except NotFoundError:
            return EvidenceOutcome.NOT_KEPT, b""
        except UnavailableError as error:
            log.warning("evidence.unreadable", error=error.message)
            return EvidenceOutcome.UNREADABLE, b""

    def _read(self, call_id: str, from_us: int, until_us: int) -> tuple[EvidenceOutcome, bytes]:
        ladders = read_ladders(self._file, call_id, from_us, until_us, MOST_CALLS)
        return EvidenceOutcome.MESSAGES, pack_ladders(ladders)
