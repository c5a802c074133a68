"""The data plane and its pure parts, in Rust. All methods release the GIL while they work."""

from collections.abc import Callable, Mapping

class PolicyError(ValueError):
    """A policy document that does not compile; the message names the field."""

class Policy:
    """A compiled policy snapshot: the very engine that decides on the wire."""

    def __init__(self, document: bytes, contents: Mapping[str, bytes] | None = None) -> None:
        """Compile with the contents of lists that the document names, by hash. PolicyError."""
    @property
    def version(self) -> int: ...
    def explain(
        self,
        source: str | None,
        destination: str,
        now_us: int,
        entries: DynamicEntries | None = None,
        client: str | None = None,
        apex: str | None = None,
    ) -> str:
        """JSON object: decision, normalised numbers, direction and a verdict for every rule (docs/contracts.md 4).

        `client` is the address of the SBC that asks, `apex` the zone it asks under. ValueError: no address.
        """

class DynamicEntries:
    """Compiled entries of dynamic lists, as they act beside a policy."""

    def __init__(self, document: bytes) -> None:
        """Compile a document of entries (docs/contracts.md 4). PolicyError."""
    @property
    def change(self) -> int:
        """Number of the last change that is in it."""
    def __len__(self) -> int: ...

class Replay:
    """Recorded calls decided again by a policy; rate conditions count on from batch to batch, for each device apart."""

    def __init__(self, policy: Policy, entries: DynamicEntries | None = None) -> None: ...
    @property
    def needs_order(self) -> bool:
        """Whether a rule has a rate condition: then the calls must come in order of time."""
    def decide(
        self,
        time_us: int,
        device_id: int,
        source: int,
        source_class: int,
        destination: int,
        destination_class: int,
        direction: int,
        destination_raw: str | None,
    ) -> tuple[int, int, int, int, list[int]]:
        """One recorded call: (action, reason, rule id, target, monitored ids)."""
    def decide_batch(self, stream: bytes) -> bytes:
        """Arrow IPC stream of recorded calls → one of their decisions, row for row (contracts.md 8). ValueError."""

class Windows:
    """Sliding windows of detections over calls; thread-safe. Docs/decisions/0020-detection-windows.md."""

    def __init__(self, specification: str, max_keys: int, seed: int) -> None:
        """`specification` is JSON (`detection.compiled`); `seed`, 64 bits, is what callers cannot know. ValueError."""
    def feed(
        self, dataset: str, stream: bytes, now_us: int
    ) -> list[tuple[int, tuple[int, int], bool, int, int, int, float, float, int, list[int]]]:
        """Count the calls of an Arrow IPC stream of `time_us`, `start_us`, `source`, `destination` (int64),
        `duration_ms` (int32, below 0: none), `device_id`, `country`, `direction`, `call_type`, `outcome`,
        `trunk_side`, `source_class`, `destination_class` (int16). What crossed: (place of the detection, key, whether
        it begins an episode, first call of the window, call that crossed, last call beyond, value, threshold, calls,
        sources). ValueError.
        """
    def tick(self, now_us: int) -> list[tuple[int, tuple[int, int], bool, int, int, int, float, float, int, list[int]]]:
        """Time has passed and all calls until then are fed: what fell silent."""
    def prime(self, detection: int, key: tuple[int, int], first_us: int, last_us: int) -> None:
        """A key is in an episode already."""
    def set_threshold(self, detection: int, key: tuple[int, int], value: float, until_us: int) -> None:
        """Let a key cross from another value until a time; it has then not crossed yet."""
    def counters(self) -> tuple[int, int, int, int, int, int]:
        """Calls looked at, too late, ahead of the clock; keys evicted; keys held, calls held."""
    def keys(self) -> list[int]:
        """Keys held of each detection."""

class EntryHits:
    """Counts how often numbers fell under each entry of a list."""

    def __init__(self, patterns: list[tuple[str, int]]) -> None:
        """Patterns, each with the time (microseconds since 1970 UTC) from which calls count. ValueError."""
    def add(self, stream: bytes) -> None:
        """Count the calls of an Arrow IPC stream with columns `number` int64 and `time` timestamp(us). ValueError."""
    def result(self) -> list[tuple[int, int, int]]:
        """(place of the entry, hits, time of the last in microseconds) of every entry that has hits."""

class DialPlan:
    """A site's dial plan: what digits mean there."""

    def __init__(self, site: str, protected: list[str] = ...) -> None:
        """`site` is JSON (docs/contracts.md 4), `protected` what must always be reachable. ValueError."""
    def read(self, number: str) -> tuple[int, int, str, bool]:
        """(E.164 digits or 0, number class, the rule that read it, whether it is the site's own) of raw text."""
    def normalise(self, stream: bytes) -> bytes:
        """Arrow IPC stream whose first column is utf8 → Arrow IPC stream of `number` (int64) and `class` (int16)."""

class EnumServer:
    """The ENUM server's sockets and data-plane threads."""

    def __init__(
        self,
        configuration: str,
        policy: bytes | None = None,
        entries: bytes | None = None,
        contents: Mapping[str, bytes] | None = None,
    ) -> None:
        """Compile `policy` (with `contents`) and `entries` of its dynamic lists, bind and start answering with them.

        `configuration` is JSON (docs/contracts.md 5).

        PolicyError: the policy does not compile and nothing was bound; OSError, ValueError.
        """
    @property
    def addresses(self) -> list[str]:
        """ADDRESS:PORT of each listener, ports resolved."""
    def install(self, document: bytes, contents: Mapping[str, bytes] | None = None) -> None:
        """Compile with the contents named and switch by pointer swap; PolicyError leaves the running policy."""
    def uninstall(self) -> None:
        """No policy: the configured fail mode answers."""
    def install_entries(self, document: bytes) -> None:
        """Compile entries of dynamic lists (docs/contracts.md 4) and switch; PolicyError leaves the running ones."""
    @property
    def entries_change(self) -> int:
        """Number of the last change of dynamic entries in force, 0 for none."""
    @property
    def policy_version(self) -> int: ...
    def counters(self) -> str:
        """JSON object of counters by name (docs/contracts.md 5)."""
    def notices(self) -> str:
        """JSON list of what a person should know since the last call (docs/contracts.md 5)."""
    def journal(self) -> Journal: ...
    def stop(self) -> None:
        """Close the sockets at once, then flush the journal. Idempotent."""

class Journal:
    """Reading side of a device's journal. ValueError: the caller's fault; OSError: the disk's."""

    @property
    def journal_id(self) -> int:
        """Under which the mediation knows this journal; a folder that was set back changes it."""
    @property
    def lost(self) -> int:
        """Events counted as lost since the journal was opened."""
    def streams(self) -> list[tuple[int, int, int, int]]:
        """(stream, first kept sequence, last durable sequence, acknowledged sequence) of each stream."""
    def read(self, stream: int, first: int, max_events: int) -> tuple[int, int, bytes] | None:
        """(first, last, Arrow IPC stream) of durable events from `first` on; None when there are none.

        A first beyond the one asked for says that what is between is not kept any more, or was damaged.
        """
    def acknowledge(self, stream: int, sequence: int) -> None:
        """The mediation holds everything up to `sequence` in its committed database."""
    def reconcile(self, received: dict[int, int]) -> str | None:
        """Compare with what the mediation holds under `journal_id`, before anything is read for it.

        None: it agrees. A text: the folder was set back; `journal_id` is new, and streams start from 1 with what the
        mediation does not have. OSError: the disk could not keep this; nothing has changed.
        """
    def wait(self, timeout_ms: int) -> bool:
        """Block until events that were not durable before are durable; False on timeout and at close."""
    def take_notices(self) -> list[str]:
        """What recovery and operation found that a person should know, oldest first; emptied by the call."""
    def close(self) -> bool:
        """Flush and stop; whether everything committed is durable. Idempotent."""

def open_journal(folder: str, stage: str | None = None) -> Journal:
    """Open a journal that no process has open and recover what its stage holds (tests, recovery)."""

def arrow_to_copy(stream: bytes) -> bytes:
    """Arrow IPC stream → PostgreSQL binary COPY, column for column (docs/contracts.md 3)."""

class ListReader:
    """Reads a list's file in parts. ValueError for a format or site that is none."""

    def __init__(self, format_: str, site: str, max_entries: int, max_faults: int) -> None:
        """`format_`: `csv` or `numbers`; `site`: a dial plan (JSON, docs/contracts.md 4), to tell what was meant."""
    def feed(self, part: bytes) -> int:
        """Go on with a part; how many entries there are so far."""
    def finish(self) -> ListBatch: ...

class ListBatch:
    """What a file came to: entries, each pattern once and ascending; or faults, and then no entries."""

    def __len__(self) -> int: ...
    @property
    def repeated(self) -> int:
        """Lines whose pattern came again later."""
    @property
    def faults(self) -> list[tuple[int, str, str]]:
        """(line, what stands there, what is wrong), at most as many as were asked for."""
    @property
    def fault_count(self) -> int: ...
    def copy_rows(self, first: int, count: int) -> bytes:
        """A part of a binary COPY: pattern text, low int8, high int8, note text, end timestamptz."""

def pattern_span(text: str) -> tuple[str, int | None, int | None]:
    """A pattern in its one form, with its first and last number where it is a number or a range. ValueError."""

def list_contents(document: bytes) -> list[str]:
    """Hashes of the contents of lists that a policy document names, each once. PolicyError."""

def canonical_pattern(text: str) -> str:
    """A pattern in its one form: two texts of the same meaning become equal. ValueError says what is wrong."""

def parse_source(raw: str) -> dict[str, str]:
    """`tgrp`, `trunk-context`, `rn`, `cic` (RFC 4904, 4694) of a source URI, without escapes; what it has."""

def normalise(number: str, site: str) -> tuple[int, int]:
    """(E.164 digits or 0, number class) of raw text under a site's dial plan (JSON, docs/contracts.md 4)."""

class Normaliser:
    """A site's compiled dial plan for batches of calls: numbers, classes and directions of dataset SIP."""

    def __init__(self, site: str, protected: list[str] = []) -> None:
        """`site` is JSON as in a policy document; `protected` its emergency numbers. ValueError."""
    def calls(self, stream: bytes) -> bytes:
        """Arrow IPC of `source`, `destination` (utf8), `side` (int16) → of `source`, `destination` (int64),
        `source_class`, `destination_class`, `direction` (int16). ValueError."""
    def call(self, source: str, destination: str, side: int) -> tuple[int, int, int, int, int]:
        """(source, class, destination, class, direction) of one call."""

class CaptureReader:
    """A capture file (pcap, pcapng; plain, gzip, zstd) from its first packet to its last. Docs/contracts.md 7."""

    def __init__(self, path: str, options: str = "{}") -> None:
        """`path` `-` is standard input; `options` JSON. ValueError: an option makes no sense."""
    def run(self, calls: Callable[[list[str]], object]) -> str:
        """Read it all, once; `calls` gets JSON texts, one for each call. JSON of the outcome. OSError, ValueError."""
    def progress(self) -> tuple[int, int]:
        """(octets of the file, frames) read until now; from any thread."""
    def cancel(self) -> None:
        """End soon: what was found until then is given."""

class Probe:
    """A live probe: interfaces and HEP listeners, whose calls go to its journal."""

    def __init__(self, configuration: str) -> None:
        """Open every source and begin. `configuration` is JSON (docs/contracts.md 7). OSError, ValueError."""
    @property
    def addresses(self) -> list[str]:
        """ADDRESS:PORT of each HEP listener, ports resolved."""
    def counters(self) -> str:
        """JSON object of counters by name (docs/metrics.md)."""
    def statistics(self) -> str:
        """JSON object of everything that was counted, by source and layer."""
    def calls(self, limit: int) -> str:
        """JSON list of calls in progress, the newest first."""
    def take_ladders(self) -> list[str]:
        """Messages of calls that ended since the last call: JSON texts with `call_id`, `time_us`, `messages`."""
    def notices(self) -> str:
        """JSON list of what a person should know since the last call."""
    def wrong(self) -> str | None:
        """What does not deliver; None when all does."""
    def journal(self) -> Journal: ...
    def stop(self) -> None:
        """Stop capturing, make the records of the calls that are left, flush the journal. Idempotent."""
