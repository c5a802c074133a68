"""Whether what a process prints goes to systemd's journal, which others than its owner may read (systemd.exec(5))."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO


def is_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this stream is the one that JOURNAL_STREAM (DEVICE:INODE) names."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
