"""The CLI's way to the mediation.

On this machine it is found by its files, elsewhere by `RINGFENCE_URL` and `RINGFENCE_TOKEN`.
"""

from __future__ import annotations

import json

import httpx

from ringfence.errors import ConfigurationError, ForbiddenError, InvalidInputError, UnavailableError
from ringfence.mediation.client import Client
from ringfence.mediation.local_files import mediation_file, place_trust
from ringfence.settings import Settings
from ringfence.trust.address import check_address
from ringfence.trust.verification import Trust, trust_of


def connect(settings: Settings) -> Client:
    """A client for the mediation that the settings name, or the one of this data folder.

    UnavailableError when none runs here, ForbiddenError when its token may not be read, ConfigurationError for a URL
    without token.
    """
    if settings.url is not None:
        if settings.token is None:
            raise ConfigurationError("token: is missing; with RINGFENCE_URL set RINGFENCE_TOKEN too")
        return _client(settings.url, settings.token, trust_of(settings.trust))
    file = mediation_file(settings.data)
    try:
        place = json.loads(file.read_text(encoding="utf-8"))
        with open(place["token_file"], encoding="utf-8") as token_file:  # noqa: PTH123 - as written by the mediation
            return _client(place["url"], settings.token or token_file.read().strip(), place_trust(place))
    except FileNotFoundError:
        raise UnavailableError(
            f"no mediation runs on {settings.data}: start `ringfence up`, or name another folder with --data"
        ) from None
    except PermissionError:
        raise ForbiddenError(f"{file.parent} is readable only by its owner: run as that user, or as root") from None
    except (ValueError, KeyError, TypeError):
        raise UnavailableError(f"{file} is not readable as JSON: start the mediation again") from None


def _client(url: str, token: str, trust: Trust) -> Client:
    if url.startswith("unix:"):
        place = url.removeprefix("unix:").replace("//", "/")
        return Client("http://mediation", token, httpx.HTTPTransport(uds=place, verify=False))  # no TLS on a socket
    try:
        check_address(url, "url")
    except InvalidInputError as error:
        raise ConfigurationError(error.message) from None
    return Client(url, token, trust=trust)
