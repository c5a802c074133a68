"""Serves a mediation's application for the browser tests, in a process of its own as in life.

`python -m tests.console.serve DATABASE_URL DATA_FOLDER [STORAGE]` prints its address, then runs until it is terminated;
STORAGE is the section `storage` of the settings as JSON.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import uvicorn

from ringfence.database.connection import Database
from ringfence.mediation.app import create_app
from ringfence.settings import Settings


def main() -> None:
    url, data, storage = (*sys.argv[1:], "{}")[:3]
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    given = {"data": Path(data), "database": {"url": url}, "api": {"address": address}, "storage": json.loads(storage)}
    settings = Settings.model_validate(given)
    app = create_app(settings, Database(url, pool_size=6))
    print(address, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)).run(sockets=[listener])


if __name__ == "__main__":
    main()
