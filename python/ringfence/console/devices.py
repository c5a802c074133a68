"""The Devices page: every ENUM server and probe, whether it lives and runs the policy it should; registering one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from nicegui import ui
from nicegui.events import GenericEventArguments

from ringfence.console.address import iso, link
from ringfence.console.device_state import lost_events, queries, state_of
from ringfence.console.forms import FORM_FIELDS
from ringfence.console.frame import Region, View, heading, load, page
from ringfence.console.markup import Choice, Tag, button, ignore, moment, text_field
from ringfence.errors import RingfenceError
from ringfence.mediation.devices import DeviceStatus, list_devices, register_device
from ringfence.policy.installation import in_words
from ringfence.policy.targets import ALL, DEVICE
from ringfence.vocabulary import Role

REFRESH_S = 2.0
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
                button("Register a device", lambda: RegisterDialog(view, self._refresh), icon="add", classes="primary")
        self.region = Region("card")
        ui.timer(REFRESH_S, self._refresh)

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
                    "Register the first ENUM server; its credential is shown once and goes into its configuration.",
                    "dns",
                )

        await load(self.region, answer, self._refresh)

    def _lay_out(self, devices: list[DeviceStatus]) -> None:
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
            with Tag("thead"), Tag("tr"):
                for words in ("Device", "State", "Last seen", "Policy", "Queries", "Lost", "Address", "Software"):
                    Tag("th", words, classes="right" if words in ("Queries", "Lost") else "", scope="col")
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
        Tag("td", device.address or "–", classes="number", data_label="Address")
        Tag("td", device.software or "–", classes="number", data_label="Software")


class RegisterDialog:
    """Asks for name and kind, then shows the credential, once."""

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
            Tag("h1", "Register a device")
            if fault:
                Tag("p", fault, classes="error", role="alert")
            text_field("Name", self.name, ignore, name="name", placeholder="enum-2")
            Choice("Kind", KIND_WORDS, self.kind, ignore, name="kind")
            with Tag("div", classes="row-end"):
                button("Cancel", self._close, classes="quiet")
                Tag("button", "Register", type="submit", classes="button primary")
        form.on("submit", self._register, js_handler=FORM_FIELDS)

    async def _register(self, event: GenericEventArguments) -> None:
        self.name = str(event.args.get("name", "")).strip()
        self.kind = str(event.args.get("kind", ""))
        session = self.view.session
        try:
            device, credential = await session.act(
                Role.ADMINISTRATOR, register_device, self.name, self.kind, None, session.identity.name
            )
        except RingfenceError as error:
            self._ask(error.message)
            return
        self.body.clear()
        with self.body:
            Tag("h1", f"{device.name} is registered")
            Tag("p", "Its credential is shown only now. Put it into the device's configuration as edge.credential, or "
                "into the file that edge.credential_file names.")  # fmt: skip
            Tag("code", credential, classes="secret mono", data_testid="credential")
            with Tag("div", classes="row-end"):
                button("Copy", lambda: ui.clipboard.write(credential), icon="content_copy")
                button("Done", self._close, classes="primary")
        await self.on_done()

    def _close(self) -> None:
        self.dialog.close()
        self.dialog.clear()
