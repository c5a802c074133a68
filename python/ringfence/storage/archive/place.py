"""Where the archive is: a folder, or a bucket of S3 or of a server that speaks it. The only I/O of the archive's files.

A file appears whole or not at all: in a folder it is written beside its name, synced and renamed; an S3 upload shows
when it is complete. Names are never used twice. Credentials of S3 come from the AWS environment (variables, files,
machine role), never from our settings.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pyarrow as pa

from ringfence.errors import UnavailableError
from ringfence.settings import ArchiveSettings

if TYPE_CHECKING:
    from pyarrow import fs

_BLOCK = 4 << 20
_CONNECT_TIMEOUT_S = 5.0
_REQUEST_TIMEOUT_S = 30.0
# Who asks waits for an answer; what is to be archived is tried again in the next round.
_ATTEMPTS = 2


@dataclass(frozen=True)
class ArchivePlace:
    """A place for files, named relative to it with `/`. OSError and UnavailableError when it cannot be reached."""

    url: str
    root: str
    folder: Path | None
    endpoint: str | None = None
    region: str | None = None

    @cached_property
    def filesystem(self) -> fs.FileSystem:
        """Arrow's way to the files; S3's library is loaded by who first uses it."""
        from pyarrow import fs

        if self.folder is not None:
            return fs.LocalFileSystem()
        options: dict[str, Any] = {
            "region": self.region,
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "request_timeout": _REQUEST_TIMEOUT_S,
            "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        }
        if self.endpoint is not None:
            parts = urlsplit(self.endpoint)
            options |= {"endpoint_override": parts.netloc, "scheme": parts.scheme or "https"}
        return fs.S3FileSystem(**options)

    @property
    def name(self) -> str:
        """As people know it."""
        return str(self.folder) if self.folder is not None else f"s3://{self.root}"

    def path_of(self, file: str) -> str:
        """The file as `filesystem` names it."""
        return f"{self.root}/{file}"

    @contextmanager
    def writing(self, file: str) -> Iterator[IO[bytes] | pa.NativeFile]:
        """A stream to a new file, which appears when the block ends well."""
        with _reachable(self.name):
            if self.folder is None:
                with self.filesystem.open_output_stream(self.path_of(file)) as stream:
                    yield stream
                return
            with _new_file(self.folder / file) as stream:
                yield stream

    def sha256(self, file: str) -> tuple[str, int]:
        """Hash and size of a file, as read back from the place."""
        digest, size = hashlib.sha256(), 0
        with _reachable(self.name), self.filesystem.open_input_stream(self.path_of(file)) as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                size += len(block)
        return digest.hexdigest(), size

    @contextmanager
    def reading(self, file: str) -> Iterator[pa.NativeFile]:
        """A file to be read from any place in it. UnavailableError also where it is missing."""
        try:
            with _reachable(self.name), self.filesystem.open_input_file(self.path_of(file)) as stream:
                yield stream
        except FileNotFoundError:
            raise UnavailableError(f"archive {self.name}: {file} is missing") from None

    def has(self, files: Sequence[str]) -> list[bool]:
        """Of each file whether it is there."""
        with _reachable(self.name):
            found = self.filesystem.get_file_info([self.path_of(file) for file in files])
        return [bool(one.is_file) for one in found]

    def files(self, folder: str) -> list[str]:
        """Names of the files in a folder; none where there is no such folder."""
        from pyarrow import fs

        with _reachable(self.name):
            wanted = fs.FileSelector(self.path_of(folder), allow_not_found=True)
            return [one.base_name for one in self.filesystem.get_file_info(wanted) if one.is_file]

    def remove(self, file: str) -> None:
        """Remove a file; one that is gone is no failure."""
        with suppress(FileNotFoundError), _reachable(self.name):
            self.filesystem.delete_file(self.path_of(file))


def archive_place(settings: ArchiveSettings) -> ArchivePlace | None:
    """The place that the settings name; None when nothing is archived. It is not asked whether it can be reached."""
    if settings.to is None:
        return None
    if settings.to.startswith("/"):
        folder = Path(settings.to)
        return ArchivePlace(str(folder), str(folder), folder)
    bucket = settings.to.removeprefix("s3://").rstrip("/")
    known = {"endpoint": settings.endpoint, "region": settings.region}
    asked = urlencode({key: value for key, value in known.items() if value is not None})
    return ArchivePlace(f"s3://{bucket}?{asked}".rstrip("?"), bucket, None, settings.endpoint, settings.region)


@lru_cache(maxsize=8)
def place_of_url(url: str) -> ArchivePlace:
    """The place as a part names it, whatever the settings say now."""
    to, _, asked = url.partition("?")
    values = {key: found[0] for key, found in parse_qs(asked).items()}
    place = archive_place(ArchiveSettings(to=to, endpoint=values.get("endpoint"), region=values.get("region")))
    assert place is not None  # noqa: S101 — `to` is set
    return place


@contextmanager
def _reachable(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise UnavailableError(f"archive {name}: {str(error).strip().splitlines()[0]}") from error


@contextmanager
def _new_file(file: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name when it is whole and on the disk."""
    file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        with unfinished.open("xb") as stream:
            unfinished.chmod(0o640)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.rename(file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
