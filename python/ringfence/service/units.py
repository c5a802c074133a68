"""The systemd units of every role: the one source of deploy/systemd/, the package and `ringfence service install`.

Each role runs as its own account and owns one folder below /var/lib/ringfence; nothing else of the machine can be
written. Of the kernel a role may use what it needs: see `_BASE` for what all give up, and each `Unit` for what it gets.
A test holds `systemd-analyze security` of every unit to an exposure of at most 3.0.

Accounts are static, not DynamicUser: that implies RemoveIPC, and the journal's stage of an edge (shared memory) must
outlive a crash of its process; nor could the owner of a PostgreSQL cluster change from start to start.

A further unit is one more `Unit` in `UNITS` (scheduled work: with `timer`), then `python -m ringfence.service.units`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "/usr/bin/ringfence"
CONFIGURATION = "/etc/ringfence/ringfence.toml"
# KEY=VALUE lines, read by systemd as root: secrets that an account need not be able to read from a file.
ENVIRONMENT = "/etc/ringfence/ringfence.env"
STATE = "/var/lib/ringfence"
GROUP = "ringfence"
HEADER = "# Ringfence: made by `ringfence service`; changes belong into a drop-in (`systemctl edit`).\n"

_INTERNET = ("AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK")

# What every unit gives up. Names and meaning: systemd.exec(5).
_BASE = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
KeyringMode=private
UMask=0077
"""


@dataclass(frozen=True)
class Unit:
    """One service, and what it needs beyond what all have."""

    name: str
    description: str
    command: str  # arguments of `ringfence`
    account: str
    folder: str  # below STATE; owned by the account
    capabilities: tuple[str, ...] = ()
    families: tuple[str, ...] = _INTERNET
    is_networked: bool = True
    watchdog_s: int | None = None
    start_timeout_s: int = 90
    stop_timeout_s: int = 30
    after: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    wanted_by: tuple[str, ...] = ("multi-user.target",)
    environment: tuple[str, ...] = ()
    further: tuple[str, ...] = ()  # lines of [Service]
    timer: str | None = None  # OnCalendar= of a one-shot unit

    @property
    def file(self) -> str:
        """Name of the unit file."""
        return f"{self.name}.service"

    @property
    def data(self) -> Path:
        """Its data folder."""
        return Path(STATE) / self.folder


UNITS: tuple[Unit, ...] = (
    Unit(
        "ringfence-database",
        "Ringfence: embedded PostgreSQL",
        "database run",
        account="ringfence",
        folder="node",
        families=("AF_UNIX",),
        is_networked=False,  # clients come through its Unix socket
        start_timeout_s=330,  # crash recovery (ringfence.database.embedded)
        stop_timeout_s=90,
        conflicts=("ringfence-up.service",),
        # Whoever enables it says that the mediation uses it: starting the one then starts the other.
        wanted_by=("multi-user.target", "ringfence-mediation.service"),
        further=("PrivateUsers=yes", "ProcSubset=pid", "OOMScoreAdjust=-500"),
    ),
    Unit(
        "ringfence-mediation",
        "Ringfence: mediation (API, console, ingest, distribution)",
        "mediation",
        account="ringfence",
        folder="node",
        capabilities=("CAP_NET_BIND_SERVICE",),
        watchdog_s=60,
        after=("ringfence-database.service",),
        conflicts=("ringfence-up.service",),
        further=("ProcSubset=pid",),
    ),
    Unit(
        "ringfence-enum",
        "Ringfence: ENUM server",
        "enum",
        account="ringfence-enum",
        folder="enum",
        capabilities=("CAP_NET_BIND_SERVICE",),
        watchdog_s=15,
        conflicts=("ringfence-up.service",),
        further=("ProcSubset=pid", "OOMScoreAdjust=-500"),
    ),
    Unit(
        "ringfence-probe",
        "Ringfence: probe",
        "probe run",
        account="ringfence-probe",
        folder="probe",
        capabilities=("CAP_NET_BIND_SERVICE", "CAP_NET_RAW"),
        families=(*_INTERNET, "AF_PACKET"),
        watchdog_s=60,
    ),
    Unit(
        "ringfence-up",
        "Ringfence: database, mediation, ENUM server and probe on one machine",
        "up",
        account="ringfence",
        folder="node",
        capabilities=("CAP_NET_BIND_SERVICE", "CAP_NET_RAW"),
        families=(*_INTERNET, "AF_PACKET"),
        watchdog_s=60,
        start_timeout_s=420,
        stop_timeout_s=150,
        conflicts=("ringfence-database.service", "ringfence-mediation.service", "ringfence-enum.service"),
        environment=("RINGFENCE_LOG_TO=stderr",),  # of its children too: to the journal
    ),
)

# Role as an operator names it → units, in start order.
ROLES: dict[str, tuple[str, ...]] = {
    "database": ("ringfence-database",),
    "mediation": ("ringfence-database", "ringfence-mediation"),
    "enum": ("ringfence-enum",),
    "probe": ("ringfence-probe",),
    "up": ("ringfence-up",),
}


def unit_named(name: str) -> Unit:
    """The unit of this name (without `.service`). KeyError."""
    return {unit.name: unit for unit in UNITS}[name]


def render_files(unit: Unit, program: str = PROGRAM, configuration: str = CONFIGURATION) -> dict[str, str]:
    """File name → text: the service, and its timer where it has one. Pure."""
    files = {unit.file: HEADER + _service(unit, program, configuration)}
    if unit.timer is not None:
        files[f"{unit.name}.timer"] = HEADER + _timer(unit)
    return files


def _service(unit: Unit, program: str, configuration: str) -> str:
    sections = {
        "Unit": [*_head(unit)],
        "Service": [*_start(unit, program, configuration), *_limits(unit), *_BASE.splitlines(), *unit.further],
    }
    if unit.timer is None:
        sections["Install"] = [f"WantedBy={' '.join(unit.wanted_by)}"]
    return "\n".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items())


def _head(unit: Unit) -> list[str]:
    after = [*(("network-online.target",) if unit.is_networked else ()), *unit.after]
    lines = [f"Description={unit.description}"]
    if unit.is_networked:
        lines.append("Wants=network-online.target")  # addresses to listen on are there
    if after:
        lines.append(f"After={' '.join(after)}")
    if unit.conflicts:
        lines.append(f"Conflicts={' '.join(unit.conflicts)}")
    if unit.timer is None:
        # A process that dies at once is given up after 20 times; one that waits ten seconds for its database never.
        lines += ["StartLimitIntervalSec=120", "StartLimitBurst=20"]
    return lines


def _start(unit: Unit, program: str, configuration: str) -> list[str]:
    lines = [
        f"Type={'notify' if unit.timer is None else 'oneshot'}",
        f"ExecStart={program} {unit.command} --data {unit.data}",
        f"User={unit.account}",
        f"Group={GROUP}",
        f"Environment=RINGFENCE_CONFIG={configuration}",
        *(f"Environment={setting}" for setting in unit.environment),
        f"EnvironmentFile=-{ENVIRONMENT}",
        f"StateDirectory={Path(STATE).name}/{unit.folder}",
        "StateDirectoryMode=0700",
    ]
    if unit.timer is None:
        # 2: the configuration is wrong; trying again does not mend it.
        lines += ["Restart=always", "RestartSec=2", "RestartPreventExitStatus=2"]
    if unit.watchdog_s is not None:
        lines.append(f"WatchdogSec={unit.watchdog_s}")
    return lines


def _limits(unit: Unit) -> list[str]:
    granted = " ".join(unit.capabilities)
    return [
        f"TimeoutStartSec={unit.start_timeout_s}",
        f"TimeoutStopSec={unit.stop_timeout_s}",
        "KillMode=mixed",
        "LimitNOFILE=65536",
        f"CapabilityBoundingSet={granted}",
        *([f"AmbientCapabilities={granted}"] if granted else []),
        f"RestrictAddressFamilies={' '.join(unit.families)}",
        *([] if unit.is_networked else ["PrivateNetwork=yes"]),
    ]


def _timer(unit: Unit) -> str:
    return (
        f"[Unit]\nDescription={unit.description}, on schedule\n\n"
        f"[Timer]\nOnCalendar={unit.timer}\nPersistent=yes\nRandomizedDelaySec=60\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def write_units(folder: Path) -> None:
    """Write every unit as a package ships it."""
    folder.mkdir(parents=True, exist_ok=True)
    for unit in UNITS:
        for name, text in render_files(unit).items():
            (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_units(Path(sys.argv[1] if len(sys.argv) > 1 else "deploy/systemd"))
