"""Serves mediations' applications for the browser tests, each in a process of its own as in life.

Python, NiceGUI and the pages are loaded once, and each application is a fork of the process that did: starting anew
costs more than most tests of a page. `tests.console.applications` is the other end.

Lines of JSON come in, and each is answered by one:

    {"url": …, "data": …, "storage": …} ─► fork ─► {"process": …, "address": …}, and the fork serves; "": it failed
    {"end": process}                    ─► SIGTERM, wait ─► {"code": …}
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import uvicorn

from ringfence.api.application import routes_of_resources
from ringfence.database.connection import Database
from ringfence.mediation.app import create_app
from ringfence.settings import Settings

# An application that takes longer to end is a fault: the alarm ends this process, and the test learns of it.
END_WITHIN_S = 20
# What uvicorn itself loads when it starts.
LOADED_WHEN_SERVING = (
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)


def main() -> None:
    # Answers have what was standard output to themselves; what an application logs goes where its errors go.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    routes_of_resources()
    for module in LOADED_WHEN_SERVING:
        import_module(module)
    gc.freeze()
    running: set[int] = set()
    # Not `sys.stdin`: a fork must not find the next line in a buffer that it shares.
    with os.fdopen(os.dup(0), "rb", buffering=0) as lines:
        while line := lines.readline():
            request = json.loads(line)
            if "end" in request:
                running.discard(request["end"])
                _answer(answers, code=_end(request["end"]))
                continue
            process = os.fork()
            if process == 0:
                lines.close()
                _serve(request, answers)
            running.add(process)
    for process in running:
        _end(process)


def _end(process: int) -> int:
    signal.alarm(END_WITHIN_S)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    _, status = os.waitpid(process, 0)
    signal.alarm(0)
    return os.waitstatus_to_exitcode(status)


def _serve(request: dict[str, Any], answers: TextIO) -> None:
    code = 1
    try:
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        given = {
            "data": Path(request["data"]),
            "database": {"url": request["url"]},
            "api": {"address": address},
            "storage": request["storage"],
        }
        app = create_app(Settings.model_validate(given), Database(request["url"], pool_size=6))
        with answers:
            _answer(answers, process=os.getpid(), address=address)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listener])
        code = 0
    except BaseException:  # what Python itself prints where nobody catches it
        sys.excepthook(*sys.exc_info())
        if not answers.closed:
            _answer(answers, process=os.getpid(), address="")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _answer(answers: TextIO, **words: int | str) -> None:
    answers.write(json.dumps(words) + "\n")


if __name__ == "__main__":
    main()
