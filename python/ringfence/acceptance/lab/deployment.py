"""A whole deployment on this machine: mediation and database, sites with ENUM servers and probes, an SBC for each site.

Lab ── start ─► mediation (embedded database, or the one given) ─► sites, devices registered through its API
    ─► `ringfence enum` and `ringfence probe run`, each a process with its own credential ─► SBCs ─► plan
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from ringfence.acceptance.hands import Answer
from ringfence.acceptance.lab.kamailio.running import missing_packages
from ringfence.acceptance.lab.legs import CallLegs
from ringfence.acceptance.lab.processes import START_S, Process
from ringfence.acceptance.lab.real_sbc import RealSbc
from ringfence.acceptance.lab.tap import INTERFACE, network_of, site_filter
from ringfence.acceptance.plan import Location, Numbers, Person, Plan, Sbc, draft_plan, split_address
from ringfence.acceptance.sbc_side import SbcSide, emulated
from ringfence.availability.standby import Standby, become
from ringfence.database.cluster import remove_cluster
from ringfence.database.embedded import EmbeddedServer
from ringfence.errors import NotFoundError, UnavailableError
from ringfence.mediation.client import Client
from ringfence.mediation.local_files import place_trust
from ringfence.settings import Settings

NUMBERS = Numbers(
    source="+13005550000",
    allowed="+12105550123",
    terminated="+19005550100",
    redirected="+12105550100",
    target="+12105550199",
)
APEX = "e164.internal"
_NAMES = ("east", "west", "north", "south")
_OWN = "+1210555*"
_STANDBY_EVERY_S = 2.0
_POLL_S = 0.1


@dataclass(frozen=True)
class Size:
    """How large the lab is. `real_sbc`: Kamailio where installed; `scale` multiplies the emulator's times.

    `standby`: a second node, at the last site, that follows the mediation's by its backups.
    """

    sites: int = 2
    enum_servers: int = 3
    probes: int = 2
    standby: bool = True
    real_sbc: bool = True
    scale: float = 1.0
    preset: str = "oracle"


class Lab:
    """Start with `with`; afterwards nothing is left of it. `say` is told what is being started."""

    def __init__(
        self, size: Size, folder: Path | None = None, database_url: str | None = None,
        say: Callable[[str], None] = lambda words: None,
    ) -> None:  # fmt: skip
        self.size = size
        self._is_own_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="ringfence-lab-"))
        self._database_url = database_url
        self._server: EmbeddedServer | None = None
        self._say = say
        self.processes: dict[str, Process] = {}
        self._ports: dict[str, str] = {}
        self._real: list[RealSbc] = []
        self.sbcs: dict[str, SbcSide] = {}

    @property
    def can_probe(self) -> bool:
        """Whether probes can read an interface here: a packet socket needs root."""
        return os.geteuid() == 0 and self.size.probes > 0

    @property
    def has_real_sbc(self) -> bool:
        """Whether the SBCs are Kamailio."""
        return self.size.real_sbc and not missing_packages()

    def __enter__(self) -> Self:
        # The database's own user must be able to enter.
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        try:
            self._start_mediation()
            self._start_devices()
            if self.size.standby:
                self._start_standby()
            self.plan = self._make_plan()
            self._start_sbcs()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything; a folder of its own is removed."""
        for sbc in self._real:
            sbc.stop()
        for process in reversed(self.processes.values()):
            process.stop()
        if hasattr(self, "api"):
            self.api.close()
        if self._server is not None:
            self._server.stop()
            remove_cluster(self.folder / "mediation")
        if self.size.standby:
            remove_cluster(self.folder / self.standby_name)
        if self._is_own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def site_name(self, site: int) -> str:
        """The site's name, counted from 0."""
        return _NAMES[site] if site < len(_NAMES) else f"site-{site + 1}"

    def _start_mediation(self) -> None:
        self._say("database and mediation")
        settings = {
            "RINGFENCE_SITE_NAME": self.site_name(0),
            "RINGFENCE_SITE_COUNTRY": "US",
            "RINGFENCE_SITE_OWN_RANGES": _OWN,
        }
        if self._database_url is None:
            self._server = EmbeddedServer(Settings(data=self.folder / "mediation"))
            self._server.start()
        settings["RINGFENCE_DATABASE_URL"] = self._database_url or self._server_url()
        mediation = Process(("mediation", "--port", "0"), self.folder / "mediation", "mediation.json", settings)
        self.processes["mediation"] = mediation
        mediation.start()
        place = mediation.await_ready()
        self.url = str(place["url"])
        token = Path(str(place["token_file"])).read_text(encoding="utf-8").strip()
        self.api = Client(self.url, token, trust=place_trust(place))

    @property
    def standby_name(self) -> str:
        """The standby's node, and what the active calls it."""
        return f"standby-{self.site_name(self.size.sites - 1)}"

    def _start_standby(self) -> None:
        """A node that copies the active's backups as they are made; returns when it has the first."""
        self._say(self.standby_name)
        token = self.api.post("tokens", {"name": self.standby_name, "role": "administrator"})["token"]
        standby = Standby("backup", self.url, every_s=_STANDBY_EVERY_S, keep=2, token=token)
        become(Settings(data=self.folder / self.standby_name), standby)
        self.api.post("backups", {"keep": 2})
        node = Process(("up", "--port", "0"), self.folder / self.standby_name, "node.json", {})
        self.processes[self.standby_name] = node
        node.start()
        end = time.monotonic() + START_S
        while not any(one["name"] == self.standby_name for one in self.api.get("standby")["followers"]):
            if not node.is_running or time.monotonic() > end:
                raise UnavailableError(f"lab: {self.standby_name} fetches no copy: see {node.log}")
            time.sleep(_POLL_S)

    def _server_url(self) -> str:
        assert self._server is not None  # noqa: S101 - started just now
        return self._server.url

    def _start_devices(self) -> None:
        known = {site["name"] for site in self.api.get("sites")["sites"]}
        for site in range(self.size.sites):
            name = self.site_name(site)
            if name not in known:
                self.api.post("sites", {"name": name, "country": "US", "own_ranges": [_OWN]})
            for number in range(self.size.enum_servers):
                self._add_device("enum", f"{name}-enum-{number + 1}", name, site, number)
            for number in range(self.size.probes if self.can_probe else 0):
                self._add_device("probe", f"{name}-probe-{number + 1}", name, site, number)
        for name, process in self.processes.items():  # before the standby, which serves nothing
            told = process.await_ready()
            if isinstance(listen := told.get("listen"), list):
                self._ports[name] = str(listen[0])

    def _add_device(self, kind: str, name: str, site_name: str, site: int, number: int) -> None:
        self._say(name)
        made = self.api.post("devices", {"name": name, "kind": kind, "site": site_name})
        data = self.folder / name
        data.mkdir(parents=True, exist_ok=True)
        credential = data / "credential.txt"
        credential.write_text(made["credential"], encoding="utf-8")
        credential.chmod(0o600)
        settings = {"RINGFENCE_EDGE_HEARTBEAT_S": "0.5", "RINGFENCE_EDGE_UPLOAD_MS": "50"}
        stage = str(data / "stage")
        words: tuple[str, ...]
        network = network_of(site)
        if kind == "enum":
            settings |= {"RINGFENCE_ENUM_JOURNAL_STAGE": stage, "RINGFENCE_ENUM_JOURNAL_SYNC_MS": "20"}
            words, ready = ("enum", "--listen", f"{network}.0.{11 + number}:0"), "enum.json"
        else:
            settings |= {
                "RINGFENCE_PROBE_JOURNAL_STAGE": stage,
                "RINGFENCE_PROBE_FILTER": site_filter(site),
                "RINGFENCE_PROBE_RING_BYTES": str(4 << 20),
                "RINGFENCE_PROBE_TRUNK_NETWORKS": f"{network}.0.10",
            }
            words, ready = ("probe", "run", "-i", INTERFACE), "probe.json"
        words = (*words, "--mediation", self.url, "--credential-file", str(credential))
        self.processes[name] = Process(words, data, ready, settings)
        self.processes[name].start()

    def start_again(self, server: str) -> None:
        """A stopped ENUM server, at the address that it had."""
        process = self.processes[server]
        process.start("--listen", self._ports[server])

    def _make_plan(self) -> Plan:
        sites, devices = self.api.get("sites")["sites"], self.api.get("devices")["devices"]
        drafted = draft_plan(sites, devices, NUMBERS, datetime.now(UTC).date())
        management = drafted.management
        if self.size.standby:
            management = management.model_copy(update={"standby": f"{self.standby_name}, warm, by copies"})
        return drafted.model_copy(
            update={
                "management": management,
                "title": "Functional system test in the lab",
                "customer": "Ringfence lab",
                "prepared_by": "ringfence fst",
                "apex": APEX,
                "people": (
                    Person(role="tester", duties="reads this record and signs it"),
                    Person(role="witness", duties="signs it where one is wanted"),
                ),
                "locations": tuple(self._placed(location) for location in drafted.locations),
            }
        )

    def _placed(self, location: Location) -> Location:
        """The location as the lab built it: addresses of its processes, its SBC."""
        servers = tuple(one.model_copy(update={"address": self._ports[one.name]}) for one in location.enum_servers)
        probes = tuple(one.model_copy(update={"interface": INTERFACE}) for one in location.probes)
        preset = "kamailio" if self.has_real_sbc else self.size.preset
        title = "Kamailio" if self.has_real_sbc else "SBC emulator"
        network = network_of(self._index(location.site))
        sbc = Sbc(name=title, preset=preset, address=f"{network}.0.1")
        return location.model_copy(
            update={"enum_servers": servers, "probes": probes, "sbc": sbc, "address": f"{network}.0.0/16, loopback"}
        )

    def _index(self, site: str) -> int:
        return next(place for place in range(self.size.sites) if self.site_name(place) == site)

    def _start_sbcs(self) -> None:
        for location in self.plan.locations:
            network = network_of(self._index(location.site))
            if not self.has_real_sbc:
                legs = CallLegs(f"{network}.0.10", f"{network}.0.1") if self.can_probe else None
                self.sbcs[location.site] = emulated(location, APEX, self.size.scale, legs)
                continue
            self._say(f"Kamailio of {location.site}")
            servers = [split_address(one.address) for one in location.enum_servers]
            names = [one.name for one in location.enum_servers]
            folder = self.folder / f"sbc-{location.site}"
            sbc = RealSbc(folder, f"{network}.0.1", servers, names, APEX, NUMBERS.target)
            self._real.append(sbc)
            sbc.start()
            self.sbcs[location.site] = sbc


class LabHands:
    """`Hands` with the lab's own processes: nobody is asked."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def stop_server(self, case: str, server: str) -> None:
        """Stop the process."""
        self._process(server).stop()

    def start_server(self, case: str, server: str) -> None:
        """Start it; it answers some seconds later."""
        if not self._process(server).is_running:
            self._lab.start_again(server)

    def log_errors(self, case: str, device: str) -> list[str] | None:
        """From the process's log."""
        return self._process(device).errors()

    def judge(self, case: str, subject: str, words: str) -> Answer:
        """There is nobody to ask: the case is not judged."""
        return Answer("OTHER", f"not judged in a lab: {words}", "machine")

    def _process(self, name: str) -> Process:
        if name not in self._lab.processes:
            raise NotFoundError(f"lab: there is no {name!r}")
        return self._lab.processes[name]
