"""A backup on disk: one tar file, of which every octet is accounted for.

    manifest.json      who, when, versions, and of each following file its size and SHA-256      (`manifest`)
    manifest.seal      SHA-256 of manifest.json, or under a key an HMAC                          (`encryption`)
    database/…         pg_dump's directory; of an encrypted backup each file ends in .age
    configuration/…    settings without what belongs to the host
    edge/enum/…        an edge's data folder
    1,024 octets of 0  end of a tar file

Any tar reads it. We read it more strictly: headers, padding and length must be exactly those that the manifest makes,
so that no octet can change unnoticed, and a cut file is known from its length alone. It is written under a name that
no reader looks at, synced and renamed: a backup is whole or not there.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from ringfence.availability.encryption import SUFFIX, Key, check_seal, seal_of
from ringfence.availability.manifest import File, Manifest, is_safe_path, parse_manifest
from ringfence.errors import InvalidInputError

# done, total, phase; raises to make the work end.
Report = Callable[[int, int, str], None]

MANIFEST = "manifest.json"
SEAL = "manifest.seal"
_BLOCK = 512
_END = b"\0" * (2 * _BLOCK)
_CHUNK = 1 << 20
LONGEST_MANIFEST = 64 << 20
_LONGEST_SEAL = 128


@dataclass(frozen=True)
class Source:
    """A file that goes into an archive."""

    section: str
    path: str
    file: Path


def damaged(why: str) -> InvalidInputError:
    """The refusal of an archive that is not what was written."""
    return InvalidInputError(why, code="invalid.backup")


def write_archive(
    target: Path, manifest: Manifest, sources: Sequence[Source], key: Key | None, report: Report
) -> Manifest:
    """Write a whole archive to `target` or nothing. Returns the manifest with its files; OSError: the disk."""
    sealed = replace(manifest, key=key.id if key else None, files=_measure(sources, report))
    octets = sealed.to_bytes()
    part = target.with_name(f".{target.name}.part")
    done, total = 0, sealed.content_bytes
    try:
        with part.open("wb") as out:
            part.chmod(0o600)
            _put(out, sealed, MANIFEST, io.BytesIO(octets), len(octets))
            seal = seal_of(octets, key).encode()
            _put(out, sealed, SEAL, io.BytesIO(seal), len(seal))
            for source, file in zip(sources, sealed.files, strict=True):
                with source.file.open("rb") as content:
                    _put(out, sealed, file.path, content, file.size)
                done += file.size
                report(done, total, "packing")
            out.write(_END)
            out.flush()
            os.fsync(out.fileno())
        part.rename(target)
        _sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)
    return sealed


def read_manifest(archive: Path, key: Key | None) -> Manifest:
    """The manifest, its seal checked, of a file that has the right length. InvalidInputError says what is wrong."""
    with _opened(archive) as content:
        return _read_head(content, key)


def peek(archive: Path) -> Manifest:
    """The manifest as it stands there, its seal not checked: for showing a backup whose key is not here."""
    with _opened(archive) as content:
        octets = _read_member(content, MANIFEST, LONGEST_MANIFEST)
        seal = _read_member(content, SEAL, _LONGEST_SEAL).decode("ascii", "replace")
        manifest = parse_manifest(octets)
        _check_length(content, octets, seal, manifest)
        return manifest


def check_archive(archive: Path, key: Key | None, report: Report) -> Manifest:
    """Read every octet and compare. InvalidInputError `invalid.backup` names the first thing that is wrong."""
    with _opened(archive) as content:
        manifest = _read_head(content, key)
        done, total = 0, manifest.content_bytes
        for file in manifest.files:
            for octets in _member(content, manifest, file):
                done += len(octets)
                report(done, total, "checking")
        if content.read(len(_END) + 1) != _END:
            raise damaged("its end is damaged")
        return manifest


def extract(archive: Path, manifest: Manifest, section: str, folder: Path, key: Key | None, report: Report) -> None:
    """Write a section's files below `folder`, each checked once more, decrypted, without the section's own folder."""
    wanted = [file for file in manifest.files if file.section == section]
    done, total = 0, sum(file.size for file in wanted)
    with _opened(archive) as content:
        _read_head(content, key)
        for file in manifest.files:
            if file.section != section:
                content.seek(_BLOCK + file.size + _padding(file.size), os.SEEK_CUR)
                continue
            target = folder / file.path.removeprefix(f"{root_of(section)}/")
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with target.open("wb") as out:
                target.chmod(0o600)
                for octets in _member(content, manifest, file):
                    out.write(octets)
                    done += len(octets)
                    report(done, total, "unpacking")
            if key is not None and manifest.key is not None:
                plain = target.with_name(target.name.removesuffix(SUFFIX))
                key.decrypt(target, plain)
                plain.chmod(0o600)
                target.unlink()


def root_of(section: str) -> str:
    """The folder of a section inside the archive."""
    return section.replace(":", "/")


def _measure(sources: Sequence[Source], report: Report) -> tuple[File, ...]:
    sizes = [source.file.stat().st_size for source in sources]
    done, files = 0, []
    for source, size in zip(sources, sizes, strict=True):
        if not is_safe_path(source.path):
            raise InvalidInputError(f"{source.file} cannot be kept in a backup: its name is too long or unusual")
        with source.file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        files.append(File(source.section, source.path, size, digest))
        done += size
        report(done, sum(sizes), "checksums")
    return tuple(files)


def _put(out: IO[bytes], manifest: Manifest, path: str, content: IO[bytes], size: int) -> None:
    out.write(_header(manifest, path, size))
    left = size
    while left and (octets := content.read(min(_CHUNK, left))):
        out.write(octets)
        left -= len(octets)
    if left:
        raise OSError(f"{path} became shorter while it was packed")
    out.write(b"\0" * _padding(size))


def _header(manifest: Manifest, path: str, size: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime = size, 0o600, int(manifest.created_at.timestamp())
    return info.tobuf(tarfile.GNU_FORMAT)  # sizes beyond 8 GiB in GNU's way


def _padding(size: int) -> int:
    return -size % _BLOCK


def _opened(archive: Path) -> IO[bytes]:
    try:
        return archive.open("rb")
    except OSError as error:
        raise damaged(f"{archive} cannot be read: {error.strerror}") from None


def _read_head(content: IO[bytes], key: Key | None) -> Manifest:
    octets = _read_member(content, MANIFEST, LONGEST_MANIFEST)
    seal = _read_member(content, SEAL, _LONGEST_SEAL).decode("ascii", "replace")
    key_id = None if seal.startswith("sha256 ") else _key_named(octets)
    check_seal(octets, seal, key_id, key)
    manifest = parse_manifest(octets)
    if (manifest.key is None) != (key_id is None):
        raise damaged("the manifest is damaged: it does not fit its seal")
    _check_length(content, octets, seal, manifest)
    return manifest


def _key_named(octets: bytes) -> str | None:
    """Which key a manifest says it is of, before anything else of it is believed."""
    return parse_manifest(octets).key


def _check_length(content: IO[bytes], octets: bytes, seal: str, manifest: Manifest) -> None:
    """Length, and the headers and padding of what was read so far, must be what this manifest makes."""
    head = b"".join(
        _header(manifest, path, len(part)) + part + b"\0" * _padding(len(part))
        for path, part in ((MANIFEST, octets), (SEAL, seal.encode("ascii", "replace")))
    )
    expected = len(head) + sum(_BLOCK + file.size + _padding(file.size) for file in manifest.files) + len(_END)
    found = content.seek(0, os.SEEK_END)
    if found != expected:
        what = "is truncated" if found < expected else "is longer than it was written"
        raise damaged(f"it {what}: {found:,} of {expected:,} octets")
    content.seek(0)
    if content.read(len(head)) != head:
        raise damaged("its head is damaged")


def _read_member(content: IO[bytes], name: str, longest: int) -> bytes:
    """A member whose size only its header tells."""
    header = content.read(_BLOCK)
    if len(header) < _BLOCK:
        raise damaged("it is truncated" if header else "it is empty")
    try:
        info = tarfile.TarInfo.frombuf(header, "ascii", "replace")
    except tarfile.HeaderError:
        raise damaged("it is no backup, or its head is damaged") from None
    if info.name != name or not 0 <= info.size <= longest:
        raise damaged(f"it is no backup, or its head is damaged: {name} is missing")
    octets = content.read(info.size)
    content.seek(_padding(info.size), os.SEEK_CUR)
    if len(octets) < info.size:
        raise damaged("it is truncated")
    return octets


def _member(content: IO[bytes], manifest: Manifest, file: File) -> Iterator[bytes]:
    """The octets of the member that stands here; damaged unless it is exactly this file."""
    if content.read(_BLOCK) != _header(manifest, file.path, file.size):
        raise damaged(f"{file.path} is missing, or its header is damaged")
    digest, left = hashlib.sha256(), file.size
    while left and (octets := content.read(min(_CHUNK, left))):
        digest.update(octets)
        left -= len(octets)
        yield octets
    if left or digest.hexdigest() != file.sha256:
        raise damaged(f"{file.path} is damaged: its SHA-256 is not that of the manifest")
    padding = content.read(_padding(file.size))
    if padding.strip(b"\0"):
        raise damaged(f"{file.path} is damaged: its padding is not empty")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
