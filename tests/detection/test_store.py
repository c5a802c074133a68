"""Definitions in the database: versions, deployment, all-stop, each change audited."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ringfence.accounts.audit import list_entries
from ringfence.database.connection import Database
from ringfence.detection import store
from ringfence.detection.catalogue import catalogue
from ringfence.detection.firing import Mode
from ringfence.errors import ConflictError, NotFoundError

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
FLOOD = catalogue()["tdos-number"]


def test_a_definition_is_kept_by_version_and_deployed_in_one(database: Database) -> None:
    with database.connection() as connection:
        assert [one.name for one in store.list_detections(connection)] == list(catalogue())
        assert store.list_deployed(connection) == []
        deployed = store.deploy(connection, "tdos-number", "ada", NOW)
        assert (deployed.version, deployed.deployment and deployed.deployment.mode) == (1, Mode.REPORT)

        stricter = FLOOD.model_copy(update={"window_s": 5})
        assert store.save_definition(connection, stricter, "bob", NOW, "five seconds").version == 2
        assert store.save_definition(connection, stricter, "bob", NOW).version == 2  # the same again
        (acting,) = store.list_deployed(connection)
        assert (acting.version, acting.definition.window_s) == (1, FLOOD.window_s)  # what is deployed stays so

        store.deploy(connection, "tdos-number", "bob", NOW, Mode.CONTAIN)
        (acting,) = store.list_deployed(connection)
        assert (acting.version, acting.definition.window_s, acting.mode) == (2, 5, Mode.CONTAIN)
        assert store.read_definition(connection, "tdos-number", 1) == FLOOD
        assert [one["version"] for one in store.list_versions(connection, "tdos-number")] == [2, 1]

        assert store.withdraw(connection, "tdos-number", "ada").deployment is None
        with pytest.raises(ConflictError):
            store.withdraw(connection, "tdos-number", "ada")
        trail = [(one.actor, one.action) for one in reversed(list_entries(connection))]
    assert trail == [
        ("ada", "detection.save"), ("ada", "detection.deploy"), ("bob", "detection.save"),
        ("bob", "detection.deploy"), ("ada", "detection.withdraw"),
    ]  # fmt: skip


def test_what_is_not_complete_is_not_deployed(database: Database) -> None:
    with database.connection() as connection:
        with pytest.raises(ConflictError, match=r"condition\.destination\.patterns"):
            store.deploy(connection, "voicemail-probing", "ada", NOW)
        with pytest.raises(ConflictError, match="cannot contain"):
            store.deploy(connection, "asr-drop", "ada", NOW, Mode.CONTAIN)
        with pytest.raises(NotFoundError):
            store.deploy(connection, "nothing", "ada", NOW)
        with pytest.raises(NotFoundError):
            store.deploy(connection, "tdos-number", "ada", NOW, version=7)


def test_all_stop_is_one_switch_with_a_reason(database: Database) -> None:
    with database.connection() as connection:
        assert not store.read_all_stop(connection).is_stopped
        assert store.set_all_stop(connection, True, "ada", NOW, "maintenance").is_stopped
        stopped = store.read_all_stop(connection, held=True)
        assert (stopped.reason, stopped.changed_by, stopped.changed_at) == ("maintenance", "ada", NOW)
        assert not store.set_all_stop(connection, False, "ada", NOW).is_stopped
        assert [one.subject for one in list_entries(connection)] == ["off", "on"]
