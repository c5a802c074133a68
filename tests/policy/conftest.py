"""A database with two sites and three devices."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ringfence.database.connection import Database
from ringfence.mediation.devices import register_device
from ringfence.mediation.sites import add_site, ensure_first_site
from ringfence.numbering.dial_plan import Site
from ringfence.settings import SiteSettings

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def estate(database: Database) -> Database:
    """Sites main (US) and berlin (DE); enum-1 and enum-2 at main, enum-3 at berlin."""
    with database.connection() as connection:
        ensure_first_site(connection, SiteSettings(own_ranges=("+12105550000-+12105559999",)))
        add_site(connection, Site("berlin", "DE", ("+4930901820*",)), "ana")
        for name, site in (("enum-1", "main"), ("enum-2", "main"), ("enum-3", "berlin")):
            register_device(connection, name, "enum", site, "ana")
    return database
