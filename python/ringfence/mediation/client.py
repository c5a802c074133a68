"""Calls to a mediation's API over HTTP: what it answers as JSON, what it refuses as the error that it names."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from ringfence.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    NotSignedInError,
    RingfenceError,
    UnavailableError,
)
from ringfence.trust.verification import Trust, verify_argument

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

    def __init__(
        self, url: str, token: str, transport: httpx.BaseTransport | None = None, trust: Trust | None = None
    ) -> None:
        """`trust`: whom to believe behind an https:// address; without: the system's authorities."""
        self.url = url
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=TIMEOUT_S,
            transport=transport,
            trust_env=False,
            verify=verify_argument(url, trust or Trust()),
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

    def patch(self, path: str, body: Any) -> Any:
        """PATCH a JSON body."""
        return self.request("PATCH", path, json=body)

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
