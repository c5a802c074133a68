"""Addresses of mediations: a credential travels no wire in clear."""

from __future__ import annotations

from urllib.parse import urlsplit

from ringfence.errors import InvalidInputError


def check_address(url: str, setting: str) -> None:
    """`https://`, `unix:`, or `http://` on this machine. InvalidInputError, which names the setting."""
    if fault := fault_of_address(url):
        raise InvalidInputError(f"{setting}: {fault}", code="invalid.address")


def fault_of_address(url: str) -> str | None:
    """What is wrong with an address; None: nothing."""
    expected = "must be https://HOST:PORT, http://127.0.0.1:PORT or unix:/PATH"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return f"{url!r} {expected}"
    if (parts.scheme == "unix" and parts.path) or (parts.scheme == "https" and host):
        return None
    if parts.scheme != "http" or not host:
        return f"{url!r} {expected}"
    return (
        None if is_this_machine(host) else f"{url!r} would send a credential in clear; expected https://{parts.netloc}"
    )


def is_this_machine(host: str) -> bool:
    """Whether a host of a URL is loopback by its very name."""
    octets = host.split(".")
    is_v4 = len(octets) == 4 and octets[0] == "127" and all(octet.isdigit() for octet in octets)
    return is_v4 or host.lower() in ("localhost", "::1")
