"""Devices: register, list, show, edit, revoke."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, StringConstraints

from ringfence.api.context import CurrentDatabase
from ringfence.api.security import Administrator, SiteAdministrator, SiteViewer
from ringfence.mediation import device_certificates, devices

router = APIRouter(prefix="/devices", tags=["devices"])

Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
DeviceName = Annotated[str, Path(min_length=1, max_length=64)]


class RegisterBody(BaseModel):
    """A device to be; without `site` it stands at the first one."""

    model_config = ConfigDict(extra="forbid")
    name: Word
    kind: Word = "enum"
    site: Word | None = None


class EditBody(BaseModel):
    """What can be said of a device afterwards."""

    model_config = ConfigDict(extra="forbid")
    site: Word | None = None
    note: Annotated[str, StringConstraints(max_length=1000)] | None = None


class Registered(BaseModel):
    """The new device with its credential, which is shown only here."""

    device_id: int
    name: str
    kind: str
    site: str
    credential: str


@router.get("")
def list_devices(identity: SiteViewer, database: CurrentDatabase) -> dict[str, Any]:
    """Every registered device and what it last reported."""
    with database.connection() as connection:
        return {"devices": [device.as_json() for device in devices.list_devices(connection)]}


@router.post("", status_code=201)
def register(body: RegisterBody, identity: Administrator, database: CurrentDatabase) -> Registered:
    """Register a device and make its credential."""
    with database.connection() as connection:
        device, credential = devices.register_device(connection, body.name, body.kind, body.site, identity.name)
    return Registered(
        device_id=device.device_id, name=device.name, kind=device.kind, site=device.site, credential=credential
    )


@router.get("/{name}")
def show(name: DeviceName, identity: SiteViewer, database: CurrentDatabase) -> dict[str, Any]:
    """One device: what it should enforce, what it was last seen to, and what it reported."""
    with database.connection() as connection:
        return devices.read_device(connection, name).as_json()


@router.patch("/{name}")
def edit(name: DeviceName, body: EditBody, identity: SiteAdministrator, database: CurrentDatabase) -> dict[str, Any]:
    """Say that it stands at another site, or note something; what is left out stays."""
    with database.connection() as connection:
        devices.edit_device(connection, name, identity.name, site=body.site, note=body.note)
        return devices.read_device(connection, name).as_json()


@router.post("/{name}/rotate", status_code=202)
def rotate(name: DeviceName, identity: Administrator, database: CurrentDatabase) -> None:
    """Have it make a new key and get a new certificate, with its next heartbeat."""
    with database.connection() as connection:
        device_certificates.want_renewal(connection, name, identity.name, datetime.now(UTC))


@router.delete("/{name}", status_code=204)
def revoke(name: DeviceName, identity: SiteAdministrator, database: CurrentDatabase) -> None:
    """Take a device's credential away."""
    with database.connection() as connection:
        devices.revoke_device(connection, name, identity.name)
