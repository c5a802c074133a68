"""How the CLI on this machine finds and enters the mediation (docs/contracts.md 6).

`<data>/run/mediation.json` says where it listens; `<data>/run/cli.token` holds a token made afresh at every start,
which only the folder's owner (and root) can read. Both are replaced atomically and taken away at a clean stop.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from ringfence.accounts import credentials
from ringfence.database.connection import Database
from ringfence.errors import UnavailableError
from ringfence.mediation.local_files import mediation_file, token_file
from ringfence.private_file import write_private
from ringfence.vocabulary import Role

LOCAL_NAME = "local"  # of the token, and of who acts with it in the audit trail


class LocalEntrance:
    """The two files and the token of one running mediation."""

    def __init__(self, data: Path, database: Database) -> None:
        self._data = data
        self._database = database
        self._token: str | None = None

    def open(self, url: str, socket: Path | None, fingerprint: str | None = None) -> None:
        """Make a token, end the one of an earlier start, and write both files; `fingerprint` of the certificate."""
        run = self._data / "run"
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._database.connection(even_if_fenced=True) as connection:
            with suppress(OSError):
                credentials.revoke_secret(connection, token_file(self._data).read_text(encoding="utf-8").strip())
            self._token = credentials.issue_token(connection, LOCAL_NAME, Role.ADMINISTRATOR)
        place = {
            "url": url,
            "socket": str(socket) if socket else None,
            "token_file": str(token_file(self._data)),
            "fingerprint": fingerprint,
            "pid": os.getpid(),
        }
        write_private(token_file(self._data), self._token)
        write_private(mediation_file(self._data), json.dumps(place, indent=2) + "\n")

    def close(self) -> None:
        """Take the files away where they are still this start's, and end the token."""
        if self._token is None:
            return
        with suppress(OSError):
            if token_file(self._data).read_text(encoding="utf-8") == self._token:
                mediation_file(self._data).unlink(missing_ok=True)
                token_file(self._data).unlink(missing_ok=True)
        # Without its database a mediation stops all the same; the next start ends the token.
        with suppress(UnavailableError), self._database.connection(even_if_fenced=True) as connection:
            credentials.revoke_secret(connection, self._token)
        self._token = None
