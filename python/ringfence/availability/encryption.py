"""Backups under a key: each file in the age format (age-encryption.org), the manifest sealed with HMAC-SHA-256.

A key file holds one age identity (`AGE-SECRET-KEY-1…`, comment lines with #), as `ringfence backup key` or age's own
tool write it. Whoever holds it opens a backup with `tar` and `age -d`, without Ringfence. The seal needs the secret
too: who has only the public half can make files of that format, but no backup that is accepted.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

import pyrage

from ringfence.errors import ConfigurationError, InvalidInputError

SUFFIX = ".age"
_SEAL_PURPOSE = b"ringfence backup seal 1"


@dataclass(frozen=True)
class Key:
    """The key of this node's backups."""

    identity: pyrage.x25519.Identity

    @property
    def id(self) -> str:
        """A name for the key that says nothing of it: of its public half."""
        return hashlib.sha256(str(self.identity.to_public()).encode()).hexdigest()[:16]

    def seal(self, manifest: bytes) -> str:
        """What only a holder of the key can write under this manifest."""
        derived = hmac.digest(str(self.identity).encode(), _SEAL_PURPOSE, "sha256")
        return f"hmac-sha256 {hmac.digest(derived, manifest, 'sha256').hex()}\n"

    def encrypt(self, source: Path, target: Path) -> None:
        """Write the encrypted copy of a file."""
        pyrage.encrypt_file(str(source), str(target), [self.identity.to_public()])

    def decrypt(self, source: Path, target: Path) -> None:
        """Write the plain copy of a file. InvalidInputError when it is not of this key, or damaged."""
        try:
            pyrage.decrypt_file(str(source), str(target), [self.identity])
        except pyrage.DecryptError as error:
            raise InvalidInputError(f"{source.name} cannot be decrypted: {error}", code="invalid.backup") from None


def new_key() -> str:
    """The text of a key file with a fresh key."""
    identity = pyrage.x25519.Identity.generate()
    return f"# public key: {identity.to_public()}\n{identity}\n"


def read_key(file: Path | None) -> Key | None:
    """The key in a file; None without a file. ConfigurationError for one that holds none."""
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"backup.key_file: {file} cannot be read: {error}") from None
    secrets = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    try:
        (secret,) = secrets
        return Key(pyrage.x25519.Identity.from_str(secret))
    except (ValueError, pyrage.IdentityError):
        raise ConfigurationError(
            f"backup.key_file: {file} holds no key; expected one line AGE-SECRET-KEY-1… (`ringfence backup key {file}`)"
        ) from None


def seal_of(manifest: bytes, key: Key | None) -> str:
    """The line under a manifest: a keyed seal where there is a key, else a checksum."""
    return key.seal(manifest) if key else f"sha256 {hashlib.sha256(manifest).hexdigest()}\n"


def check_seal(manifest: bytes, seal: str, key_id: str | None, key: Key | None) -> None:
    """InvalidInputError `invalid.backup`: damaged, without the key it needs, or with another one."""
    if key_id is not None and key is None:
        raise InvalidInputError(f"it is encrypted with key {key_id}: set backup.key_file", code="invalid.backup")
    if key_id is not None and key is not None and key.id != key_id:
        raise InvalidInputError(
            f"it is encrypted with key {key_id}, backup.key_file holds key {key.id}", code="invalid.backup"
        )
    if not hmac.compare_digest(seal_of(manifest, key if key_id else None).encode(), seal.encode()):
        raise InvalidInputError("the manifest is damaged: it does not fit its seal", code="invalid.backup")
