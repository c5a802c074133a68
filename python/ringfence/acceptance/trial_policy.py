"""The test's policy: three rules for the test numbers on top of what is installed, and everything put back at the end.

what is installed ─► + three rules, committed as a version, installed on all ─► uninstalled (case B5) ─► put back
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ringfence.acceptance.plan import Numbers
from ringfence.acceptance.run import Api
from ringfence.errors import RingfenceError

PREFIX = "fst-"
_EVERYWHERE = "all"


@dataclass(frozen=True)
class Before:
    """What was installed where before the test: target → version (0: none), and the newest version's policy."""

    targets: dict[str, int]
    newest: dict[str, Any] | None


def rules_of(numbers: Numbers) -> list[dict[str, Any]]:
    """The three rules; they concern calls from the test's source to the test's numbers only."""
    common = {"sources": [numbers.source], "mode": "enforce", "note": "functional system test"}
    return [
        common | {"name": f"{PREFIX}terminate", "destinations": [numbers.terminated], "action": "terminate"},
        common
        | {
            "name": f"{PREFIX}redirect",
            "destinations": [numbers.redirected],
            "action": "redirect",
            "target": numbers.target,
        },
        common | {"name": f"{PREFIX}allow", "destinations": [numbers.allowed], "action": "allow"},
    ]


def with_test_rules(policy: dict[str, Any] | None, numbers: Numbers) -> dict[str, Any]:
    """A policy with the test's rules before all others, and without those of an earlier test."""
    policy = dict(policy or {})
    others = [rule for rule in policy.get("rules", []) if not str(rule.get("name", "")).startswith(PREFIX)]
    return policy | {"rules": [*rules_of(numbers), *others]}


def without_test_rules(policy: dict[str, Any] | None) -> dict[str, Any]:
    """A policy as it was before a test."""
    policy = dict(policy or {})
    kept = [rule for rule in policy.get("rules", []) if not str(rule.get("name", "")).startswith(PREFIX)]
    return policy | {"rules": kept}


class TrialPolicy:
    """Installs, uninstalls, puts back; each through the API, audited there."""

    def __init__(self, api: Api, numbers: Numbers) -> None:
        self._api = api
        self._numbers = numbers
        self._before: Before | None = None
        self.version = 0

    def install(self) -> int:
        """Commit and install everywhere; the version's number. Remembers what was there before."""
        if self._before is None:
            self._before = self._read()
        installed = self._api.get("policy")["policy"]
        self.version = self._apply(with_test_rules(installed, self._numbers), "functional system test", install=True)
        return self.version

    def uninstall(self) -> int:
        """What was installed before acts again, or nothing; the version that acts now."""
        before = self._before or self._read()
        version = before.targets.get(_EVERYWHERE, 0)
        self._act(_EVERYWHERE, version)
        return version

    def put_back(self) -> None:
        """Every target as it was, and a newest version without the test's rules, for the draft to stand on."""
        if self._before is None:
            return
        self._apply(without_test_rules(self._before.newest), "after the functional system test", install=False)
        for target, version in sorted(self._before.targets.items(), key=_widest_first):
            self._act(target, version)
        if _EVERYWHERE not in self._before.targets:
            self._act(_EVERYWHERE, 0)
        self._before = None

    def _read(self) -> Before:
        targets = {one["target"]: int(one["version"]) for one in self._api.get("policy/installation")["targets"]}
        versions = self._api.get("policy/versions", limit=1)["versions"]
        newest = self._api.get(f"policy/versions/{versions[0]['version']}")["policy"] if versions else None
        return Before(targets, newest)

    def _apply(self, policy: dict[str, Any], message: str, *, install: bool) -> int:
        made = self._api.post("policy", policy, message=message, install="true" if install else "false")
        return int(made["version"])

    def _act(self, target: str, version: int) -> None:
        kind, _, name = target.partition(":")
        scope = {kind: name} if name else {}
        if version:
            self._api.post("policy/install", {"version": version} | scope)
        else:
            self._api.post("policy/uninstall", scope)


def _widest_first(item: tuple[str, int]) -> int:
    return ("all", "site", "device").index(item[0].partition(":")[0])


def current_devices(api: Api, names: list[str]) -> list[str]:
    """Those of the ENUM servers that do not enforce what they should."""
    devices = {device["name"]: device for device in api.get("devices")["devices"]}
    return [name for name in names if name not in devices or not devices[name]["is_current"]]


def try_to_put_back(policy: TrialPolicy) -> str:
    """Empty, or why the deployment's policy could not be put back: a person must."""
    try:
        policy.put_back()
    except RingfenceError as error:
        return f"the policy could not be put back: {error.message}; install the version that acted before the test"
    return ""
