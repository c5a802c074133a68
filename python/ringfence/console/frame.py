"""What every page stands in: the rail of pages, the person's menu, and regions that load, fill, empty or fail.

`page` registers a page's builder with NiceGUI and with the gate, so a page without a gate cannot exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote
from zoneinfo import ZoneInfo

from nicegui import ui
from starlette.requests import Request

from ringfence.console.documents import asset, head
from ringfence.console.gate import PAGES, SESSION, Page, why_closed
from ringfence.console.markup import Tag, button
from ringfence.console.session import Session
from ringfence.errors import NotSignedInError, RingfenceError
from ringfence.vocabulary import Role

Query = Mapping[str, str]
Builder = Callable[["View"], None]

# The pages as the rail shows them.
ORDER = (
    "/",
    "/alerts",
    "/analytics",
    "/calls",
    "/policy",
    "/devices",
    "/availability",
    "/functional-test",
    "/accounts",
)
# The tabs of those that are several pages, and how their first page is called among them.
TABS = {
    "/alerts": ("/alerts", "/detections", "/alerts/channels"),
    "/calls": ("/calls", "/enforcement", "/captures"),
    "/policy": (
        "/policy",
        "/policy/versions",
        "/policy/lists",
        "/policy/schedules",
        "/policy/simulate",
        "/policy/explain",
    ),
    "/devices": ("/devices", "/sites", "/number"),
    "/availability": ("/availability", "/storage"),
    "/accounts": ("/accounts", "/audit"),
}
FIRST_TABS = {
    "/alerts": "Alerts",
    "/calls": "Call log",
    "/policy": "Rules",
    "/devices": "Devices",
    "/availability": "Availability",
    "/accounts": "People",
}

ZONE_COOKIE = "ringfence_zone"
THEME_COOKIE = "ringfence_theme"


class View:
    """One opened page: who looks at it, with which parameters, in which time zone."""

    def __init__(self, page: Page, session: Session, query: Query, zone: str) -> None:
        self.page = page
        self.session = session
        self.query = query
        self.zone = zone
        # Where dialogs and drawers stand: nothing there goes when a part of the page is laid out anew.
        self.layer = Tag("div", classes="contents")

    def say(self, words: str, *, is_fault: bool = False) -> None:
        """A note that goes by itself; a fault stays long enough to be read."""
        with self.layer:
            if is_fault:
                ui.notify(words, type="negative", timeout=9000, close_button="Close", multi_line=True)
            else:
                ui.notify(words, type="positive", timeout=3500)

    def show_address(self, address: str) -> None:
        """Put the page's present state into the address bar, to be shared or bookmarked."""
        self.query = {}
        ui.navigate.history.replace(address)


def page(
    path: str,
    title: str,
    icon: str,
    role: Role = Role.VIEWER,
    *,
    group: str = "",
    for_sites: bool = False,
    is_whole: bool = False,
) -> Callable[[Builder], Builder]:
    """Register `build` as the page at `path` for people with `role`, in the order of the navigation."""
    registered = Page(path, title, icon, role, group, for_sites, is_whole)

    def register(build: Builder) -> Builder:
        PAGES[path] = registered

        async def show(request: Request) -> None:
            session = request.scope.get(SESSION)
            if not isinstance(session, Session):
                raise NotSignedInError(f"{path} was reached without its gate")
            view = View(registered, session, dict(request.query_params), _zone(request.cookies.get(ZONE_COOKIE)))
            with _frame(view, request.cookies.get(THEME_COOKIE)):
                build(view)

        ui.page(path, title=f"{title} · Ringfence", dark=None, language="en-US")(show)
        return build

    return register


class Region(Tag):
    """A part of a page that is loading, holds content, is empty, or failed; never one that looks like another."""

    def __init__(self, classes: str = "") -> None:
        super().__init__("div", classes=classes, aria_live="polite")
        self.state = "loading"
        self.loading()

    def loading(self) -> None:
        """Something is on its way."""
        self._become("loading")
        with self:
            Tag("div", classes="loading", role="status", aria_label="Loading")

    def stale(self) -> None:
        """Another content is on its way; what is there stays to be seen, dimmed, until it comes."""
        if self.state == "content":
            self.state = "loading"
            self.props["data-state"] = "loading"
            self.props["aria-busy"] = "true"
        else:
            self.loading()

    def empty(self, title: str, words: str, icon: str = "inbox") -> None:
        """Nothing is there, and that is the answer; `words` say why or what to do."""
        self._become("empty")
        with self, Tag("div", classes="state"):
            ui.icon(icon).props("aria-hidden=true")
            Tag("b", title)
            Tag("p", words)

    def failed(self, words: str, retry: Callable[[], object] | None = None, verb: str = "Try again") -> None:
        """There is no answer; `words` say why."""
        self._become("failed")
        with self, Tag("div", classes="state failed", role="alert"):
            ui.icon("error_outline").props("aria-hidden=true")
            Tag("b", "This could not be loaded")
            Tag("p", words)
            if retry is not None:
                button(verb, retry)

    @contextmanager
    def content(self) -> Iterator[None]:
        """Replace what is there."""
        self._become("content")
        with self:
            yield

    def _become(self, state: str) -> None:
        self.clear()
        self.state = state
        self.props["data-state"] = state
        self.props.pop("aria-busy", None)


async def load(region: Region, work: Callable[[], Awaitable[None]], retry: Callable[[], object] | None = None) -> bool:
    """Do `work`, which fills `region`; an expected failure is said in its place. Whether it succeeded.

    A region that holds content keeps it when a refresh fails: what is known stays, with a word that it is old. What
    nobody expected goes on to the log, and is said too: a page that waits for ever says nothing.
    """
    try:
        await work()
    except NotSignedInError:
        leave()
    except RingfenceError as error:
        if region.state == "content":
            ui.notification(f"Not refreshed: {error.message}", type="warning", timeout=4, close_button=True)
        else:
            region.failed(error.message, retry)
    except Exception:
        if region.state != "content":
            region.failed("A fault of the console; the mediation's log says which.", retry)
        raise
    else:
        return True
    return False


def every(seconds: float, work: Callable[[], Awaitable[None] | None], *, immediate: bool = True) -> ui.timer:
    """Do `work` once a browser shows the page, then every `seconds` while one does.

    A page whose browser went elsewhere is kept for a while, should it come back; meanwhile nobody looks at it, and it
    asks nothing.
    """

    async def tick() -> None:
        if ui.context.client.has_socket_connection and (working := work()) is not None:
            await working

    return ui.timer(seconds, tick, immediate=immediate)


def leave() -> None:
    """The session ended while the page was open: sign in, then come back to this very view."""
    ui.run_javascript(
        "location.assign('/sign-in?ended=1&next=' + encodeURIComponent(location.pathname + location.search))"
    )


def heading(title: str) -> None:
    """The page's name; what follows in the same `page-head` stands to its right."""
    Tag("h1", title)
    Tag("span", classes="space")


@contextmanager
def _frame(view: View, theme: str | None) -> Iterator[None]:
    ui.add_head_html(head() + f'<script defer src="{asset("console.js")}"></script>')
    if theme in ("light", "dark"):
        ui.dark_mode(theme == "dark")
    Tag("a", "Skip to content", classes="skip", href="#content")
    with Tag("div", classes="shell"):
        with Tag("nav", classes="rail", aria_label="Pages"):
            _rail(view)
        # NiceGUI stands everything in a <main> already.
        with Tag("div", classes="page", id="content", tabindex="-1"):
            if (fence := view.session.database.fence) is not None:
                with Tag("div", classes="banner", role="alert"):
                    ui.icon("block").props("aria-hidden=true")
                    Tag("span", f"This pair {fence}.")
            _tabs(view)
            yield


def _tabs(view: View) -> None:
    """The pages that belong together with this one."""
    group = view.page.group
    places = [place for path in TABS.get(group, ()) if why_closed(place := PAGES[path], view.session) is None]
    if len(places) < 2:
        return
    with Tag("rf-tabs", classes="tabs", role="navigation", aria_label=PAGES[group].title):
        for place in places:
            words = FIRST_TABS[group] if place.path == group else place.title
            Tag("a", words, href=place.path, aria_current="page" if place is view.page else None)


def _rail(view: View) -> None:
    with Tag("a", classes="brand", href="/"):
        Tag("img", src=asset("ringfence.svg"), alt="")
        Tag("span", "Ringfence", classes="words")
    for place in (PAGES[path] for path in ORDER if path in PAGES):
        if why_closed(place, view.session) is not None:
            continue
        current = "page" if place.path in (view.page.path, view.page.group) else None
        with Tag("a", classes="place", href=place.path, aria_current=current, title=place.title):
            ui.icon(place.icon).props("aria-hidden=true")
            Tag("span", place.title, classes="words")
    Tag("span", classes="space")
    _person_menu(view)


def _person_menu(view: View) -> None:
    identity = view.session.identity
    with Tag("details", classes="menu"):
        with Tag("summary", aria_label=f"Account of {identity.name}"):
            ui.icon("account_circle").props("aria-hidden=true")
            with Tag("span", classes="person"):
                Tag("b", identity.name)
                Tag("span", identity.role.word)
        with Tag("div", classes="sheet"):
            Tag("h3", "Appearance")
            with Tag("div", classes="segments", role="group", aria_label="Appearance"):
                for choice in ("system", "light", "dark"):
                    Tag("button", choice.capitalize(), type="button", data_set_theme=choice)
            with Tag("a", classes="button quiet", href="/profile"):
                ui.icon("manage_accounts").props("aria-hidden=true")
                Tag("span", "Profile")
            with Tag("a", classes="button quiet", href=f"/password?next={quote(view.page.path, safe='')}"):
                ui.icon("key").props("aria-hidden=true")
                Tag("span", "Change password")
            with Tag("form", method="post", action="/sign-out"), Tag("button", type="submit", classes="button quiet"):
                ui.icon("logout").props("aria-hidden=true")
                Tag("span", "Sign out")


def _zone(name: str | None) -> str:
    """The viewer's zone as its browser said, UTC when it said none that exists."""
    try:
        return ZoneInfo(name or "UTC").key
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return "UTC"
