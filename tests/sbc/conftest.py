"""Fixtures of the SBC tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from ringfence.acceptance.lab.kamailio.running import EnumBehaviour, Sbc, missing_packages

StartSbc = Callable[..., Sbc]


@pytest.fixture
def start_sbc(tmp_path: Path) -> Iterator[StartSbc]:
    """Starts an SBC that asks the given ENUM servers: `start_sbc([(host, port)], redirect_numbers=[…])`."""
    if missing := missing_packages():
        pytest.skip(f"needs the Debian packages {', '.join(missing)} (apt-get install {' '.join(missing)})")
    with ExitStack() as stack:

        def start(
            enum_servers: Sequence[tuple[str, int]],
            apex: str = "e164.internal",
            redirect_numbers: Sequence[str] = (),
            behaviour: EnumBehaviour | None = None,
        ) -> Sbc:
            folder = tmp_path / f"sbc-{len(list(tmp_path.iterdir()))}"
            return stack.enter_context(Sbc(folder, enum_servers, apex, redirect_numbers, behaviour))

        yield start
