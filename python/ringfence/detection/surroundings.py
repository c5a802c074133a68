"""What definitions refer to by name, read once: devices, sites with their own numbers, schedules of the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg import Connection

from ringfence.analytics.recorded import RecordingDevice, recording_devices
from ringfence.errors import UnavailableError
from ringfence.mediation.sites import all_sites
from ringfence.numbering.countries import country_id
from ringfence.numbering.dial_plan import Site
from ringfence.policy import versions
from ringfence.policy.rules import Policy, Rule, Schedule


@dataclass(frozen=True)
class Surroundings:
    """As they are now. A site is known by its place, from 1, in the order in which sites were made."""

    devices: tuple[RecordingDevice, ...] = ()
    sites: tuple[Site, ...] = ()
    policy: Policy = field(default_factory=Policy)

    @property
    def schedules(self) -> Mapping[str, Schedule]:
        """Of the policy that is installed everywhere."""
        return self.policy.schedules

    @property
    def own_patterns(self) -> list[str]:
        """The numbers of all sites."""
        return sorted({pattern for site in self.sites for pattern in site.own_ranges})

    @property
    def enforced_rules(self) -> list[Rule]:
        """Rules of the installed policy that decide."""
        return [rule for rule in self.policy.rules if rule.mode == "enforce"]

    def site_number(self, name: str) -> int:
        """The place of a site; 0 when there is none of this name."""
        return next((number for number, site in enumerate(self.sites, 1) if site.name == name), 0)

    def devices_at(self, sites: tuple[str, ...]) -> list[int]:
        """Ids of the devices that stand at one of the sites; of all where none is named."""
        return [one.device_id for one in self.devices if not sites or one.site in sites]

    def home_country(self, device: RecordingDevice) -> int:
        """The country of a device's site, as rows hold it."""
        return next((country_id(site.country) for site in self.sites if site.name == device.site), 0)


def read_surroundings(connection: Connection) -> Surroundings:
    """All of it, as it is now; without a site there is none of it yet."""
    version = versions.installed_everywhere(connection).version
    policy = Policy.model_validate(versions.read_source(connection, version)) if version else Policy()
    try:
        sites = all_sites(connection)
    except UnavailableError:
        sites = ()
    return Surroundings(tuple(recording_devices(connection, None, None)), sites, policy)
