"""The archive: whole or refused, whatever octet is wrong; whole or not there, whatever ends its making."""

from __future__ import annotations

import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.availability.conftest import NOW

from ringfence.availability import archive, encryption
from ringfence.availability.archive import Source
from ringfence.availability.encryption import Key, new_key, read_key
from ringfence.availability.manifest import FORMAT, Manifest, is_safe_path, new_manifest, parse_manifest
from ringfence.errors import ConfigurationError, InvalidInputError


def quiet(done: int, total: int, phase: str) -> None:
    """Nobody watches."""


def make(folder: Path, key: Key | None = None) -> tuple[Path, Manifest]:
    contents = {"database/toc.dat": b"table of contents" * 40, "database/1.dat.gz": b"", "configuration/a.toml": b"x=1"}
    sources = []
    for number, (path, octets) in enumerate(contents.items()):
        file = folder / f"part-{number}"
        file.write_bytes(octets)
        if key is not None:
            plain, file = file, folder / f"part-{number}.age"
            key.encrypt(plain, file)
            path += ".age"
        sources.append(Source(path.split("/", maxsplit=1)[0], path, file))
    target = folder / "whole.backup"
    return target, archive.write_archive(target, new_manifest(NOW, ("database", "configuration")), sources, key, quiet)


def key_in(folder: Path) -> Key:
    (folder / "key").write_text(new_key())
    key = read_key(folder / "key")
    assert key is not None
    return key


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
def test_every_octet_counts(tmp_path: Path, is_encrypted: bool) -> None:
    """One bit anywhere, and the archive is refused with a reason; nothing is said to be right that is not."""
    key = key_in(tmp_path) if is_encrypted else None
    target, manifest = make(tmp_path, key)
    assert archive.check_archive(target, key, quiet) == manifest
    whole = target.read_bytes()
    spoiled = tmp_path / "spoiled.backup"
    for place in {*range(0, len(whole), 11), *range(257)}:  # of headers, contents, padding and end
        octets = bytearray(whole)
        octets[place] ^= 1 << (place % 8)
        spoiled.write_bytes(octets)
        with pytest.raises(InvalidInputError) as refused:
            archive.check_archive(spoiled, key, quiet)
        assert refused.value.code == "invalid.backup"
        assert refused.value.message


def test_a_cut_archive_says_that_it_is_cut(tmp_path: Path) -> None:
    target, _ = make(tmp_path)
    whole = target.read_bytes()
    for length in (0, 1, 511, 512, 600, 2_000, len(whole) // 2, len(whole) - 512, len(whole) - 1):
        target.write_bytes(whole[:length])
        with pytest.raises(InvalidInputError, match=r"truncated|empty"):
            archive.read_manifest(target, None)
    target.write_bytes(whole + b"\0")
    with pytest.raises(InvalidInputError, match="longer"):
        archive.read_manifest(target, None)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    target, manifest = make(tmp_path)
    with tarfile.open(target) as tar:
        members = [(member, tar.extractfile(member)) for member in tar]
        rest = [
            (member, content.read()) for member, content in members if content and member.name != "database/1.dat.gz"
        ]
    octets = b"".join(
        archive._header(manifest, member.name, member.size) + content + b"\0" * (-member.size % 512)
        for member, content in rest
    )
    target.write_bytes(octets + b"\0" * 1536)  # as long as it should be
    with pytest.raises(InvalidInputError, match=r"database/1\.dat\.gz is missing"):
        archive.check_archive(target, None, quiet)


def test_keys(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    mine, other = key_in(tmp_path), key_in(tmp_path / "other")
    target, manifest = make(tmp_path, mine)
    assert manifest.key == mine.id
    with pytest.raises(InvalidInputError, match=f"encrypted with key {mine.id}: set backup.key_file"):
        archive.check_archive(target, None, quiet)
    with pytest.raises(InvalidInputError, match=f"key {mine.id}, backup.key_file holds key {other.id}"):
        archive.check_archive(target, other, quiet)
    assert archive.peek(target) == manifest  # can be listed all the same
    assert b"table of contents" not in target.read_bytes()


def test_who_has_only_the_public_key_makes_no_backup(tmp_path: Path) -> None:
    """The manifest of an encrypted backup cannot be rewritten with a plain checksum under it."""
    key = key_in(tmp_path)
    target, manifest = make(tmp_path, key)
    forged = manifest.to_bytes()
    octets = target.read_bytes()
    plain = encryption.seal_of(forged, None).encode()
    start = octets.index(b"hmac-sha256 ")
    header = archive._header(manifest, archive.SEAL, len(plain))
    target.write_bytes(octets[: start - 512] + header + plain + b"\0" * (-len(plain) % 512) + octets[start + 512 :])
    with pytest.raises(InvalidInputError, match="does not fit its seal"):
        archive.check_archive(target, key, quiet)


def test_a_newer_format_is_refused_by_its_name(tmp_path: Path) -> None:
    _, manifest = make(tmp_path)
    with pytest.raises(InvalidInputError, match=f"format {FORMAT + 1} by Ringfence 9.0, this Ringfence"):
        parse_manifest(replace(manifest, format=FORMAT + 1, software="9.0").to_bytes())


def test_standard_tools_read_it(tmp_path: Path) -> None:
    target, _ = make(tmp_path)
    listed = subprocess.run(["tar", "-tf", str(target)], capture_output=True, text=True, check=True).stdout.split()
    assert listed == ["manifest.json", "manifest.seal", "database/toc.dat", "database/1.dat.gz", "configuration/a.toml"]


def test_a_file_that_changes_while_it_is_packed_leaves_nothing(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(b"x" * 2000)

    def shorten(done: int, total: int, phase: str) -> None:
        part.write_bytes(b"x")

    sources = [Source("database", "database/a", part)]
    with pytest.raises(OSError, match="shorter"):
        archive.write_archive(tmp_path / "whole", new_manifest(NOW, ("database",)), sources, None, shorten)
    assert {file.name for file in tmp_path.iterdir()} == {"part"}


def test_extract_gives_back_what_went_in(tmp_path: Path) -> None:
    key = key_in(tmp_path)
    target, manifest = make(tmp_path, key)
    out = tmp_path / "out"
    archive.extract(target, manifest, "database", out, key, quiet)
    assert {file.name for file in out.iterdir()} == {"toc.dat", "1.dat.gz"}
    assert (out / "toc.dat").read_bytes() == b"table of contents" * 40


@given(st.text(max_size=40))
def test_names_lead_nowhere_else(path: str) -> None:
    if is_safe_path(path):
        assert (Path("/base") / path).resolve().is_relative_to("/base")


@pytest.mark.parametrize("text", ["", "nothing", "AGE-SECRET-KEY-1NOTONE", "a\nb"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(ConfigurationError, match=r"backup\.key_file"):
        read_key(tmp_path / "key")
