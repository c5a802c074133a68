"""A TCP line between two machines that a test can cut; and the loop in a thread that carries it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Literal, TypeVar

T = TypeVar("T")
State = Literal["open", "dark", "refused", "slow"]
SLOW_S = 0.4


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="campaign", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What it returns, from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def stop(self) -> None:
        """End it, whatever still runs in it."""

        async def cancel() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.run(cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Line:
    """Carries connections from its own port to `target`.

    Dark, it takes what is sent and delivers it when it is open again, as a network does that loses packets; refused, it
    resets; slow, each piece waits.
    """

    def __init__(self, thread: LoopThread, target: int) -> None:
        self._thread = thread
        self._target = target
        self._state: State = "open"
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_light = asyncio.Event()
        self._is_light.set()
        server = thread.run(self._listen())
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def become(self, state: State) -> None:
        """From now on."""
        self._thread.run(self._become(state))

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._carry, "127.0.0.1", 0)

    async def _become(self, state: State) -> None:
        self._state = state
        (self._is_light.clear if state == "dark" else self._is_light.set)()
        if state == "refused":
            for writer in self._writers:
                writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._is_light.wait()
        if self._state == "refused":
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while octets := await source.read(65536):
                if self._state == "slow":
                    await asyncio.sleep(SLOW_S)
                await self._is_light.wait()
                sink.write(octets)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()
