"""The console in a real browser: the mediation's application on a seeded PostgreSQL, and Debian's chromium.

One application and one browser serve all tests of the folder; each test has its own browser context.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, WebSocket, expect, sync_playwright
from tests.console.applications import ROOT, serving
from tests.console.seed import PASSWORD, seed, seed_workshop
from tests.suite_server import SuiteServer

from ringfence.accounts.people import sign_in
from ringfence.api.security import SESSION_COOKIE
from ringfence.database.connection import Database

# A busy machine is slow, not wrong.
expect.set_options(timeout=30_000)
# Debian's chromium: its build without a window costs a sixth less.
CHROMIUMS = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))
PICTURES_ARE_KEPT = bool(os.environ.get("RINGFENCE_TEST_SCREENSHOTS"))
DATABASE = "ringfence_console"
STORY = 200  # how much of what happened in a window is told


def answer_of(question: Coroutine[Any, Any, Any]) -> Any:
    """Run it in a thread of its own: playwright's event loop runs in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, question).result()


@dataclass(frozen=True)
class Console:
    """The running application."""

    url: str
    database: Database
    sessions: dict[str, str]  # account → secret of a session


@pytest.fixture(scope="session")
def console_database(postgres_server: SuiteServer, _database_template: str) -> Iterator[Database]:
    """A database with a small network's last hours; tests only add to it."""
    with postgres_server.database(DATABASE, _database_template, pool_size=4) as database:
        seed(database, datetime.now(UTC))
        yield database


@pytest.fixture(scope="session")
def console(console_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The application on a free port of loopback."""
    with _serving(console_database, tmp_path_factory.mktemp("console-data")) as console:
        yield console


@pytest.fixture(scope="module")
def workshop(
    postgres_server: SuiteServer, _database_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Console]:
    """Another application, with people and a first version, where tests commit and install as they like."""
    with postgres_server.database(f"{DATABASE}_workshop", _database_template, pool_size=4) as database:
        seed_workshop(database, datetime.now(UTC))
        with _serving(database, tmp_path_factory.mktemp("workshop-data")) as console:
            yield console


@pytest.fixture(scope="module")
def warehouse(
    postgres_server: SuiteServer, _database_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Console]:
    """Another one, with days of calls, an archive, and a disk whose size is set; rounds are for the tests to run."""
    archive = tmp_path_factory.mktemp("archive")
    storage = {"enum": {"days": 4}, "sip": {"days": 400}, "disk_bytes": 1 << 30, "check_s": 3600}
    with postgres_server.database(f"{DATABASE}_warehouse", _database_template, pool_size=4) as database:
        seed_workshop(database, datetime.now(UTC))
        with _serving(
            database,
            tmp_path_factory.mktemp("warehouse-data"),
            json.dumps({**storage, "archive": {"to": str(archive)}}),
        ) as console:
            yield console


@contextmanager
def _serving(database: Database, data: Path, storage: str = "{}") -> Iterator[Console]:
    with serving(database.url, data, storage) as url:
        yield Console(url, database, _sessions(database))


def _sessions(database: Database) -> dict[str, str]:
    with database.connection() as connection:
        now = datetime.now(UTC)
        return {name: sign_in(connection, name, PASSWORD, None, now).secret for name in ("ada", "eve", "vera")}


# Not the session's: playwright keeps an event loop running in this thread, in which other folders' tests may want one.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    chromium = next((program for program in CHROMIUMS if program.exists()), None)
    if chromium is None:
        pytest.skip(f"no {CHROMIUMS[0]}: install Debian's package chromium-headless-shell")
    with sync_playwright() as playwright:
        # One process for the pages of a context: it compiles the console's scripts once, not once per page. And a
        # script that runs for a second is not worth optimising.
        flags = ["--renderer-process-limit=1", "--js-flags=--no-opt,--no-maglev"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@dataclass
class Window:
    """A browser window, which serves one test after another: opening one costs a tenth of a page."""

    page: Page
    own: str = ""  # the address of the application that it visits
    faults: list[str] = field(default_factory=list)  # everything that went wrong in it
    story: list[str] = field(default_factory=list)  # what happened in it: a test that fails is explained by it

    def listen(self) -> None:
        """From now on."""
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self._note_foreign(request.url))
        self.page.on("framenavigated", lambda frame: self._tell(f"at {frame.url}"))
        self.page.on("requestfailed", lambda request: self._tell(f"{request.failure}: {request.url}"))
        self.page.on("websocket", self._follow)

    def _tell(self, words: str) -> None:
        self.story.append(f"{datetime.now(UTC):%H:%M:%S.%f} {words}")

    def _follow(self, socket: WebSocket) -> None:
        self._tell("socket opens")
        socket.on("socketerror", lambda error: self._tell(f"socket: {error}"))
        socket.on("framereceived", lambda frame: self._tell(f"socket receives {len(frame)}: {frame[:40]!r}"))
        socket.on("close", lambda _: self._tell("socket closes"))

    def _note(self, message: ConsoleMessage) -> None:
        self._tell(f"{message.type}: {message.text}")
        # The browser itself reports the status of a refused form; that is no fault of the page.
        refused = re.search(r"the server responded with a status of (401|404|422)", message.text)
        if message.type == "error" and not refused:
            self.faults.append(message.text)

    def _note_foreign(self, url: str) -> None:
        if not url.startswith((self.own, self.own.replace("http", "ws"), "data:", "blob:")):
            self.faults.append(f"fetched from outside: {url}")


class Windows:
    """Those that are open: one process and one cache for all of a zone, so scripts are fetched and compiled once."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: dict[str, BrowserContext] = {}
        self._idle: dict[str, list[Window]] = {}

    def context(self, zone: str) -> BrowserContext:
        """Of people in that time zone."""
        if zone not in self._contexts:
            self._contexts[zone] = self._browser.new_context(
                timezone_id=zone,
                locale="en-GB",
                reduced_motion="reduce",  # what moves is drawn sixty times a second
            )
        return self._contexts[zone]

    def take(self, zone: str, own: str) -> Window:
        """One that nobody uses."""
        idle = self._idle.setdefault(zone, [])
        if not idle:
            idle.append(Window(self.context(zone).new_page()))
            idle[-1].page.set_default_timeout(30_000)
            idle[-1].listen()
        window = idle.pop()
        window.own = own
        window.faults, window.story = [], []
        return window

    def give_back(self, zone: str, window: Window) -> list[str]:
        """Leave the page that is open in it; all that went wrong in it till then."""
        window.page.goto("about:blank")
        self._idle[zone].append(window)
        return window.faults

    def close(self) -> None:
        """All."""
        for context in self._contexts.values():
            context.close()


@dataclass
class Visitor:
    """Somebody in front of a browser window."""

    page: Page
    console: Console
    faults: list[str]  # of the window

    def open(self, path: str) -> Page:
        """Go to a page of the console."""
        self.page.goto(self.console.url + path)
        return self.page

    def enter(self, name: str = "ada") -> Visitor:
        """With a session made beforehand: what a test of anything but signing in wants."""
        secret = self.console.sessions[name]
        self.page.context.add_cookies(
            [{"name": SESSION_COOKIE, "value": secret, "url": self.console.url, "httpOnly": True, "sameSite": "Strict"}]
        )
        return self

    def sign_in(self, name: str = "ada", password: str = PASSWORD) -> Visitor:
        """Through the form, as people do."""
        page = self.open("/sign-in")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        return self


Visit = Callable[..., Visitor]


@pytest.fixture(scope="package")
def windows(browser: Browser) -> Iterator[Windows]:
    """Of all tests of the folder."""
    windows = Windows(browser)
    yield windows
    windows.close()


@pytest.fixture
def visit(console: Console, windows: Windows) -> Iterator[Visit]:
    """`visit(width=…, dark=…)` opens a window, signed out; no test leaves a console error behind."""
    taken: list[tuple[str, Window]] = []

    def open_window(
        width: int = 1280,
        height: int = 860,
        dark: bool = False,
        zone: str = "America/Chicago",
        at: Console = console,
        keeps_cookies: bool = False,
    ) -> Visitor:
        if not keeps_cookies:
            windows.context(zone).clear_cookies()
        window = windows.take(zone, at.url)
        taken.append((zone, window))
        window.page.set_viewport_size({"width": width, "height": height})
        window.page.emulate_media(color_scheme="dark" if dark else "light")
        return Visitor(window.page, at, window.faults)

    yield open_window
    for _, window in taken:  # shown of tests that fail
        print(window.page.url, *window.story[-STORY:], sep="\n  ")
    assert [fault for zone, window in taken for fault in windows.give_back(zone, window)] == []


def keep_picture(page: Page, path: Path, *, full_page: bool = False) -> None:
    """For people to look at, when they asked for it; a picture costs as much as a fifth of a page."""
    if PICTURES_ARE_KEPT:
        page.screenshot(path=path, full_page=full_page)


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go: build/screenshots when they are to be kept, else a temporary folder."""
    if not PICTURES_ARE_KEPT:
        return tmp_path_factory.mktemp("screenshots")
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
