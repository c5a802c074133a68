"""The CLI's way to the mediation.

On this machine it is found by its files, elsewhere by `RINGFENCE_URL` and `RINGFENCE_TOKEN`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from ringfence.errors import (
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    NotSignedInError,
    RingfenceError,
    UnavailableError,
)
from ringfence.mediation.local_files import mediation_file
from ringfence.settings import Settings

TIMEOUT_S = 30.0
_ERRORS: dict[str, type[RingfenceError]] = {
    error.code: error
    for error in (
        InvalidInputError,
        NotFoundError,
        ConflictError,
        NotSignedInError,
        ForbiddenError,
        UnavailableError,
    )
}


class Client:
    """HTTP calls that return JSON or raise what the mediation said."""

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """GET; parameters that are None are left out."""
        return self.request("GET", path, params=_present(parameters))

    def post(self, path: str, body: Any = None, **parameters: Any) -> Any:
        """POST a JSON body."""
        return self.request("POST", path, json=body, params=_present(parameters))

    def delete(self, path: str) -> Any:
        """DELETE."""
        return self.request("DELETE", path)

    def stream(self, path: str, parameters: dict[str, Any]) -> Iterator[bytes]:
        """GET a body in parts, as it comes. RingfenceError as the mediation said."""
        try:
            with self._http.stream("GET", path, params=parameters) as response:
                if not response.is_success:
                    response.read()
                    raise _refused(response, self.url)
                yield from response.iter_bytes()
        except httpx.TransportError as error:
            raise UnavailableError(f"mediation at {self.url} cannot be reached: {error}") from None

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        """Any call below /api/v1; the answer's JSON, None for no content. RingfenceError as the mediation said."""
        response = self._send(method, path, **arguments)
        return response.json() if response.content else None

    def text(self, path: str, **parameters: Any) -> str:
        """GET of what is not JSON."""
        return self._send("GET", path, params=_present(parameters)).text

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **arguments)
        except UnicodeEncodeError:
            raise InvalidInputError("the command line holds text that is not UTF-8") from None
        except httpx.TimeoutException:
            raise UnavailableError(f"mediation at {self.url} did not answer within {TIMEOUT_S:g} s") from None
        except httpx.TransportError as error:
            raise UnavailableError(f"mediation at {self.url} cannot be reached: {error}") from None
        if response.is_success:
            return response
        raise _refused(response, self.url)


def connect(settings: Settings) -> Client:
    """A client for the mediation that the settings name, or the one of this data folder.

    UnavailableError when none runs here, ForbiddenError when its token may not be read, ConfigurationError for a URL
    without token.
    """
    if settings.url is not None:
        if settings.token is None:
            raise ConfigurationError("token: is missing; with RINGFENCE_URL set RINGFENCE_TOKEN too")
        return _client(settings.url, settings.token)
    file = mediation_file(settings.data)
    try:
        place = json.loads(file.read_text(encoding="utf-8"))
        with open(place["token_file"], encoding="utf-8") as token_file:  # noqa: PTH123 - as written by the mediation
            return _client(place["url"], settings.token or token_file.read().strip())
    except FileNotFoundError:
        raise UnavailableError(
            f"no mediation runs on {settings.data}: start `ringfence up`, or name another folder with --data"
        ) from None
    except PermissionError:
        raise ForbiddenError(f"{file.parent} is readable only by its owner: run as that user, or as root") from None
    except (ValueError, KeyError, TypeError):
        raise UnavailableError(f"{file} is not readable as JSON: start the mediation again") from None


def _client(url: str, token: str) -> Client:
    if url.startswith("unix:"):
        return Client("http://mediation", token, httpx.HTTPTransport(uds=url.removeprefix("unix:").replace("//", "/")))
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"url: {url!r} is not a URL; expected http://HOST:PORT or unix:/PATH")
    return Client(url, token)


def _refused(response: httpx.Response, url: str) -> RingfenceError:
    try:
        return refused_as(response.json())
    except (ValueError, KeyError, TypeError):
        return UnavailableError(f"{url} answered {response.status_code} and not as a mediation does")


def refused_as(body: dict[str, Any]) -> RingfenceError:
    """The error that a refusal (`{"code", "message", "detail"}`) stands for. KeyError, TypeError: it is none."""
    code, message, detail = str(body["code"]), str(body["message"]), body.get("detail")
    kind = _ERRORS.get(code.split(".")[0], RingfenceError)
    return kind(message, code=code, detail=detail if isinstance(detail, dict) else {})


def _present(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
