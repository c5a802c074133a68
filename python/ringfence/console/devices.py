"""The Devices page: every ENUM server and probe, whether it lives and runs the policy it should; inviting one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from nicegui import ui
from nicegui.events import GenericEventArguments
from psycopg import Connection

from ringfence.console.address import iso, link
from ringfence.console.device_state import lost_events, queries, state_of
from ringfence.console.forms import FORM_FIELDS
from ringfence.console.frame import Region, View, every, heading, load, page
from ringfence.console.markup import Choice, Tag, button, ignore, moment, text_field
from ringfence.errors import RingfenceError
from ringfence.mediation.devices import DeviceStatus, list_devices
from ringfence.mediation.invitations import Invitation, invite
from ringfence.policy.installation import in_words
from ringfence.policy.targets import ALL, DEVICE
from ringfence.vocabulary import Role

REFRESH_S = 2.0
COLUMNS = (
    "Device", "State", "Last seen", "Policy", "Queries", "Lost", "Clock", "Certificate", "Address", "Software",
)  # fmt: skip
RENEWED_LATE = timedelta(days=14)  # its certificate should have been renewed by itself before that is left
KIND_WORDS = {"enum": "ENUM server", "probe": "Probe"}


@page("/devices", "Devices", "dns", group="/devices", for_sites=True)
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        self.shown: tuple[list[DeviceStatus], list[bool]] | None = None
        with Tag("div", classes="page-head"):
            heading("Devices")
            if view.session.may(Role.ADMINISTRATOR):
                button("Invite a device", lambda: RegisterDialog(view, self._refresh), icon="add", classes="primary")
        self.region = Region("card")
        every(REFRESH_S, self._refresh)

    async def _refresh(self) -> None:
        async def answer() -> None:
            devices = await self.view.session.ask(list_devices)
            now = datetime.now(UTC)
            shown = devices, [device.drift_since(now) is not None for device in devices]
            if shown == self.shown and self.region.state != "failed":
                return
            self.shown = shown
            if devices:
                with self.region.content():
                    self._lay_out(devices)
            else:
                self.region.empty(
                    "No device is registered",
                    "Invite the first ENUM server; the command that enrols it there is shown once.",
                    "dns",
                )

        await load(self.region, answer, self._refresh)

    def _lay_out(self, devices: list[DeviceStatus]) -> None:
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in COLUMNS:
                    Tag("th", words, classes="right" if words in ("Queries", "Lost", "Clock") else "", scope="col")
            with Tag("tbody"):
                for device in devices:
                    _lay_out_device(device, datetime.now(UTC))


def _lay_out_device(device: DeviceStatus, now: datetime) -> None:
    state = state_of(device)
    lost = lost_events(device)
    asked = queries(device)
    with Tag("tr"):
        with Tag("td"):
            Tag("a", device.name, href=link("/calls", {"device": device.name}), title="Its calls")
            Tag("div", f"{KIND_WORDS.get(device.kind, device.kind)} · {device.site}", classes="muted")
        with Tag("td"):
            Tag("span", state.word, classes=f"pill {state.colour}", title=state.why)
        with Tag("td", classes="number", data_label="Last seen"):
            seen = moment(iso(device.last_seen_at) if device.last_seen_at else None)
            seen.props["shown"] = "ago"
        with Tag("td", classes="number", data_label="Policy"), Tag("div"):
            Tag("span", str(device.policy_version or "none"))
            if not device.is_current:
                Tag("span", f" → {device.wanted_version or 'none'}", classes="muted", title="The version it should run")
            if device.wanted_from not in ("", ALL):
                Tag("div", "its own" if device.wanted_from.startswith(DEVICE) else "its site’s", classes="muted",
                    title=f"It follows {in_words(device.wanted_from)}, not what is installed on all")  # fmt: skip
            if (drift := device.drift_since(now)) is not None:
                with Tag("div", classes="pill amber", title="It lives, but runs another policy than it should"):
                    Tag("span", "drifts since ")
                    moment(iso(drift))
        Tag("td", "–" if asked is None else f"{asked:,}", classes="right", data_label="Queries")
        Tag("td", f"{lost:,}", classes="right said" if lost else "right muted", data_label="Lost")
        Tag("td", clock_words(device.clock_offset_us), classes="right number", data_label="Clock")
        with Tag("td", classes="number", data_label="Certificate"):
            _lay_out_certificate(device.certificate_until, now)
        Tag("td", device.address or "–", classes="number", data_label="Address")
        Tag("td", device.software or "–", classes="number", data_label="Software")


def clock_words(offset_us: int | None) -> str:
    """How far its clock is from ours."""
    return "–" if offset_us is None else f"{offset_us / 1e6:+.1f} s"


def _lay_out_certificate(until: datetime | None, now: datetime) -> None:
    if until is None:
        Tag("span", "–", classes="muted", title="It has a credential")
        return
    is_late = until - now < RENEWED_LATE
    with Tag("span", classes="pill amber" if is_late else "", title="It renews by itself before that"):
        Tag("span", "until ", classes="muted")
        Tag("span", f"{until:%Y-%m-%d}")


class RegisterDialog:
    """Asks for name and kind, then shows the command with which the device enrols, once."""

    def __init__(self, view: View, on_done: Callable[[], Awaitable[None]]) -> None:
        self.view = view
        self.on_done = on_done
        self.name = ""
        self.kind = "enum"
        self.dialog = ui.dialog().props("persistent")
        with self.dialog:
            self.body = Tag("div", classes="dialog", role="document")
        self._ask()
        self.dialog.open()

    def _ask(self, fault: str = "") -> None:
        self.body.clear()
        with self.body, Tag("form", classes="stack") as form:
            Tag("h1", "Invite a device")
            if fault:
                Tag("p", fault, classes="error", role="alert")
            text_field("Name", self.name, ignore, name="name", placeholder="enum-2")
            Choice("Kind", KIND_WORDS, self.kind, ignore, name="kind")
            with Tag("div", classes="row-end"):
                button("Cancel", self._close, classes="quiet")
                Tag("button", "Invite", type="submit", classes="button primary")
        form.on("submit", self._register, js_handler=FORM_FIELDS)

    async def _register(self, event: GenericEventArguments) -> None:
        self.name = str(event.args.get("name", "")).strip()
        self.kind = str(event.args.get("kind", ""))
        session = self.view.session
        try:
            invitation, token = await session.act(Role.ADMINISTRATOR, self._invite)
        except RingfenceError as error:
            self._ask(error.message)
            return
        self.body.clear()
        with self.body:
            command = f"ringfence {invitation.kind} enrol {token}"
            Tag("h1", f"{invitation.name} is invited")
            Tag(
                "p",
                "Run this once on its machine, then start it. It is shown only now, counts once, and within the hour.",
            )
            Tag("code", command, classes="secret mono", data_testid="enrol")
            with Tag("div", classes="row-end"):
                button("Copy", lambda: ui.clipboard.write(command), icon="content_copy")
                button("Done", self._close, classes="primary")
        await self.on_done()

    def _invite(self, connection: Connection) -> tuple[Invitation, str]:
        session = self.view.session
        return invite(
            connection, self.name, self.kind, None, timedelta(hours=1), session.identity.name, datetime.now(UTC),
            session.process.way_here(),
        )  # fmt: skip

    def _close(self) -> None:
        self.dialog.close()
        self.dialog.clear()
