"""One typed tree of settings, read once at start.

Precedence: flags > environment `RINGFENCE_SECTION_KEY` > TOML file > defaults. An unknown name or a bad
value is refused with the field's name. `ringfence.sample.toml` documents every field; a test keeps both equal.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ringfence.errors import ConfigurationError
from ringfence.trust.address import fault_of_address

ENVIRONMENT_PREFIX = "RINGFENCE_"
# Read by the test suite and the build, not settings of the product.
FOREIGN_ENVIRONMENT = ("RINGFENCE_TEST_", "RINGFENCE_BENCH_", "RINGFENCE_CONFIG")

# One mailbox as nearly all are written (RFC 5321, without quoted local parts and without SMTPUTF8).
MAIL_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-][A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,188}[A-Za-z0-9])?"
)

Port = Annotated[int, Field(ge=0, le=65535)]


def _covered(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """No credential travels a wire in clear."""
    for fault in filter(None, map(fault_of_address, addresses)):
        raise ValueError(fault)
    return addresses


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DatabaseSettings(_Section):
    """Where PostgreSQL is. Without `url` the embedded server in the data folder is used."""

    url: str | None = Field(None, description="libpq URL of an external PostgreSQL 15 or newer")
    bin: Path | None = Field(None, description="folder with initdb, postgres, pg_dump …, instead of the wheel's")
    pool_size: int = Field(10, ge=2, le=200, description="most connections of one mediation process")
    connect_timeout_s: float = Field(10.0, gt=0, le=300, description="how long a start waits for the database")


class TlsSettings(_Section):
    """TLS of API, console and uplink; docs/operations/tls.md."""

    mode: Literal["auto", "on"] = Field(
        "auto", description="auto: beyond loopback, and where a certificate is named; on: on loopback too"
    )
    certificate: Path | None = Field(
        None, description="PEM file with the certificate and what stands above it; without: a self-signed one is made"
    )
    key: Path | None = Field(None, description="PEM file with its key; both are read again when they change")
    names: tuple[str, ...] = Field(
        (), description="names and addresses for the self-signed certificate, beside its own"
    )
    client_ca: Path | None = Field(
        None, description="PEM file of an authority that signs devices' certificates, instead of the built-in one"
    )

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        return self


class ApiSettings(_Section):
    """The mediation's listener: API and console."""

    host: str = Field("127.0.0.1", description="address to listen on; beyond loopback only with TLS")
    port: Port = Field(8420, description="0 picks a free port")
    socket: Path | None = Field(None, description="Unix socket to listen on as well (for edges on this machine)")
    address: str | None = Field(
        None, description="URL that edges and people reach it at, as invitations say; default: from host and port"
    )
    requests_per_second: float = Field(
        50.0, gt=0, le=100_000, description="most API requests a second of one person, token or address, over time"
    )
    requests_burst: int = Field(500, ge=10, le=1_000_000, description="and at once; devices are not counted")
    tls: TlsSettings = TlsSettings()

    @field_validator("host")
    @classmethod
    def _address(cls, value: str) -> str:
        ip_address(value)
        return value

    @property
    def is_beyond_loopback(self) -> bool:
        """Whether other machines can reach it."""
        return not ip_address(self.host).is_loopback

    @property
    def has_tls(self) -> bool:
        """Whether it speaks TLS: always where other machines can reach it."""
        return self.is_beyond_loopback or self.tls.mode == "on" or self.tls.certificate is not None


class JournalSettings(_Section):
    """The edge's durable event journal."""

    segment_bytes: int = Field(16 << 20, ge=64 << 10, le=1 << 30, description="size at which a new segment starts")
    max_bytes: int = Field(4 << 30, ge=1 << 20, description="bound of the journal on disk, all streams")
    keep_hours: float = Field(72.0, ge=0, description="how long acknowledged segments are kept")
    sync_ms: int = Field(250, ge=1, le=10_000, description="most events at risk on power loss, in milliseconds")
    stage: Path | None = Field(None, description="folder in memory (tmpfs) for the crash-safe stage; default /dev/shm")
    stage_bytes: int = Field(64 << 20, ge=1 << 20, le=4 << 30, description="bound of the stage, each stream")


class EnumSettings(_Section):
    """The DNS ENUM server."""

    enabled: bool = Field(True, description="whether `ringfence up` runs one; a pair's node does without")
    listen: tuple[str, ...] = Field(("127.0.0.1:1053",), min_length=1, description="ADDRESS:PORT, port 0 picks one")
    apex: tuple[str, ...] = Field(("e164.internal",), min_length=1, description="ENUM zones answered")
    workers: int = Field(1, ge=1, le=256, description="data-plane threads, each with its own socket")
    source_option_codes: tuple[int, ...] = Field((4, 65001), description="EDNS0 options that may carry the source URI")
    query_names: tuple[str, ...] = Field(
        ("{destination:reversed}", "{destination:reversed}.src.{source:reversed}", "{destination:reversed}.s{source}"),
        min_length=1,
        max_length=16,
        description="layouts of numbers in a query name in front of the apex; the first that fits counts",
    )
    fail_mode: Literal["allow", "none", "terminate"] = Field("allow", description="answer while no policy was ever had")
    allow_from: tuple[str, ...] = Field(
        (), description="SBC addresses and networks that are answered, beside loopback; others are dropped silently"
    )
    client_limit_qps: int = Field(
        0, ge=0, le=10_000_000, description="most queries a second of a client that is no SBC; 0: no limit"
    )
    cookie_secret: str | None = Field(
        None, pattern=r"^[0-9a-fA-F]{32}$", description="32 hex digits for DNS cookies; random at each start without"
    )
    receive_buffer_bytes: int = Field(
        4 << 20, ge=64 << 10, le=512 << 20, description="receive buffer asked for each socket (net.core.rmem_max)"
    )
    journal: JournalSettings = JournalSettings()

    @field_validator("allow_from")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ip_network(text)
        return value


class EvidenceSettings(_Section):
    """SIP messages of calls, kept on the probe for the ladder; authentication headers are masked."""

    enabled: bool = Field(True, description="false: no message is kept anywhere")
    max_bytes: int = Field(1 << 30, ge=1 << 20, description="bound on the probe's disk; the oldest go first")
    keep_hours: float = Field(24.0, ge=0, description="how long messages are kept")
    call_bytes: int = Field(64 << 10, ge=1 << 10, le=4 << 20, description="most octets kept of one call")


class ProbeSettings(_Section):
    """The passive probe: it reads what a tap or an SBC's HEP shows it, and sends nothing."""

    interfaces: tuple[str, ...] = Field((), description="interfaces to read; bonds by the bond's name")
    hep_listen: tuple[str, ...] = Field((), description="ADDRESS:PORT that takes HEP over UDP and TCP; 9060 is usual")
    hep_key: str | None = Field(None, description="authentication key that HEP senders must give; version 3 only")
    hep_allow_from: tuple[str, ...] = Field((), description="addresses that may send HEP, beside this machine's")
    filter: str | None = Field(None, description="what the kernel filters by, as `tcpdump -ddd EXPRESSION` prints it")
    promiscuous: bool = Field(True, description="take packets for other machines, as a tap delivers them")
    ring_bytes: int = Field(64 << 20, ge=1 << 20, le=4 << 30, description="capture ring of each thread")
    workers: int = Field(1, ge=1, le=64, description="threads of each interface; calls are spread over them")
    max_calls: int = Field(200_000, ge=100, le=10_000_000, description="most calls in progress that are kept in mind")
    trunk_networks: tuple[str, ...] = Field(
        (), description="addresses and networks of the trunk side: calls from there are inbound, to there outbound"
    )
    evidence: EvidenceSettings = EvidenceSettings()
    journal: JournalSettings = JournalSettings()

    @field_validator("trunk_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ip_network(text)
        return value


class HepOutSettings(_Section):
    """Copies of ENUM decisions and call records for Homer and other HEP collectors; calls never wait for it."""

    to: str | None = Field(
        None, description="udp:HOST:PORT or tcp:HOST:PORT of the collector; without: nothing is sent"
    )
    capture_id: int = Field(2001, ge=0, le=2**32 - 1, description="capture id that the collector knows this edge by")
    key: str | None = Field(None, max_length=256, description="authentication key; it travels in clear text")
    node: str | None = Field(None, max_length=64, description="node name; default: the host's name")
    max_lag: int = Field(100_000, ge=1, description="events behind which older ones are left out, and counted")


class TrustSettings(_Section):
    """Whom this machine's commands, edges and standby believe behind an https:// address."""

    fingerprints: tuple[str, ...] = Field(
        (), description="SHA-256 fingerprints of mediations' certificates; where any is named, no other is believed"
    )
    ca_file: Path | None = Field(None, description="PEM file of authorities to believe instead of the system's")

    @field_validator("fingerprints")
    @classmethod
    def _digits(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_fingerprint(text) for text in value)


def _fingerprint(text: str) -> str:
    """As people and `openssl x509 -fingerprint -sha256` write it."""
    digits = text.strip().lower().removeprefix("sha256:").rpartition("=")[2].replace(":", "")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError(f"{text!r} is not a SHA-256 fingerprint: expected 64 hexadecimal digits")
    return digits


class EdgeSettings(_Section):
    """How an edge (ENUM server, probe) reaches its mediation."""

    mediation: tuple[str, ...] = Field(
        (), description="mediation URLs, https://HOST:PORT or unix:/PATH, in order; http:// on this machine only"
    )
    credential: str | None = Field(None, description="the device's own credential, shown once when it was registered")
    credential_file: Path | None = Field(None, description="file that holds the credential")
    certificate_file: Path | None = Field(None, description="certificate of the device, of an authority of your own")
    key_file: Path | None = Field(None, description="its key")
    heartbeat_s: float = Field(2.0, gt=0, le=300, description="interval of heartbeats")
    upload_ms: int = Field(200, ge=10, le=60_000, description="longest wait before journaled events are sent")
    upload_events: int = Field(20_000, ge=1, le=200_000, description="most events in one upload")
    metrics_host: str = Field("127.0.0.1", description="address of the edge's /metrics and /healthz")
    metrics_port: Port = Field(0, description="0 picks a free port")
    hep_out: HepOutSettings = HepOutSettings()

    @field_validator("mediation")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _covered(value)

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together")
        return self


class BackupSettings(_Section):
    """Backups of this node: where they are kept, how many, how they are made."""

    folder: Path | None = Field(None, description="where backups are kept; default: backups in the data folder")
    keep: int = Field(14, ge=1, le=1000, description="how many backups are kept; the oldest go first")
    jobs: int | None = Field(None, ge=1, le=64, description="parallel jobs of dump and restore; default: processors")
    timeout_s: float = Field(3600.0, gt=0, le=86_400, description="longest time of a dump or a restore")
    key_file: Path | None = Field(None, description="file with an age key: backups are encrypted and sealed with it")
    every_s: float = Field(0.0, ge=0, description="the leading mediation makes a backup this often; 0: never by itself")


class MailSettings(_Section):
    """The mail server that reports and alerts are sent through; without `host` none are."""

    host: str | None = Field(None, min_length=1, max_length=255, description="name or address of the SMTP server")
    port: Port = Field(587, description="587 with starttls, 465 with tls, 25 with none is usual")
    tls: Literal["starttls", "tls", "none"] = Field("starttls", description="how the connection is encrypted")
    ca_file: Path | None = Field(None, description="PEM file of certificates to trust instead of the system's")
    sender: str = Field("ringfence@localhost", max_length=254, description="address that mail comes from")
    user: str | None = Field(None, max_length=255, description="name to sign in with; without: no signing in")
    password_file: Path | None = Field(None, description="file with the password, readable by the mediation alone")
    timeout_s: float = Field(30.0, gt=0, le=600, description="longest wait for each answer of the server")

    @model_validator(mode="after")
    def _password_is_covered(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file belong together")
        if self.user is not None and self.tls == "none":
            raise ValueError("a password is not sent without TLS: set tls to starttls or tls")
        return self

    @field_validator("sender")
    @classmethod
    def _address(cls, value: str) -> str:
        if not MAIL_ADDRESS.fullmatch(value):
            raise ValueError("must be one mail address such as ringfence@example.com")
        return value


class LdapSettings(_Section):
    """Signing in with a directory's passwords; without `url` there is none. docs/accounts.md."""

    url: str | None = Field(None, description="ldaps://HOST:PORT, or ldap://HOST:PORT with starttls")
    starttls: bool = Field(True, description="ldap:// is encrypted by StartTLS; false only on loopback")
    ca_file: Path | None = Field(None, description="PEM file of certificates to trust instead of the system's")
    bind_dn: str | None = Field(None, description="who searches; without: anonymously")
    bind_password_file: Path | None = Field(None, description="file with its password")
    base_dn: str = Field("", description="where people are searched for, with all below")
    user_filter: str = Field(
        "(&(objectClass=person)(uid={name}))",
        description="finds one person by the typed name; (sAMAccountName={name}) in Active Directory",
    )
    disabled_filter: str = Field(
        "", description="matches disabled entries; (userAccountControl:1.2.840.113556.1.4.803:=2) in Active Directory"
    )
    group_base_dn: str | None = Field(None, description="where groups are searched for; without: base_dn")
    group_filter: str = Field("(member={dn})", description="finds the groups that an entry is directly a member of")
    nested: Literal["search", "in_chain", "none"] = Field(
        "search", description="groups in groups: by searching again, or by Active Directory's matching rule in chain"
    )
    viewer_group: str | None = Field(None, description="DN of the group whose members are viewers")
    analyst_group: str | None = Field(None, description="likewise; of several the highest role counts")
    editor_group: str | None = None
    administrator_group: str | None = None
    timeout_s: float = Field(5.0, gt=0, le=60, description="longest wait for the directory")
    recheck_s: float = Field(900.0, ge=10, le=86_400, description="how often people with sessions are looked up again")

    @field_validator("url")
    @classmethod
    def _ldap_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("ldap://", "ldaps://")):
            raise ValueError("must be ldaps://HOST:PORT or ldap://HOST:PORT")
        return value

    @model_validator(mode="after")
    def _is_encrypted(self) -> Self:
        if self.url is not None and self.url.startswith("ldap://") and not self.starttls:
            host = (urlsplit(self.url).hostname or "").replace("localhost", "127.0.0.1")
            if not host or not host.replace(".", "").isdigit() or not ip_address(host).is_loopback:
                raise ValueError("passwords are not sent without TLS: use ldaps:// or starttls = true")
        if "{name}" not in self.user_filter or "{dn}" not in self.group_filter:
            raise ValueError("user_filter needs {name}, group_filter {dn}")
        return self


class OidcSettings(_Section):
    """Signing in with an OpenID Connect provider; without `issuer` there is none. docs/accounts.md."""

    issuer: str | None = Field(
        None, description="the provider's issuer URL, where /.well-known/openid-configuration is"
    )
    client_id: str = Field("", description="this console's client id there")
    client_secret_file: Path | None = Field(None, description="file with the client secret; without: a public client")
    public_url: str | None = Field(
        None, description="URL that browsers reach the console by; the redirect URI is PUBLIC_URL/sign-in/oidc/back"
    )
    label: str = Field("your organisation", max_length=40, description="the button says: Sign in with …")
    scopes: tuple[str, ...] = Field(("openid", "profile", "email"), description="what is asked for; openid is needed")
    name_claim: str = Field("preferred_username", description="claim that becomes the account's name")
    role_claim: str = Field("groups", description="claim, or path.of.claims, with the person's groups or roles")
    viewer_group: str | None = Field(None, description="value of the claim that makes a viewer")
    analyst_group: str | None = Field(None, description="likewise; of several the highest role counts")
    editor_group: str | None = None
    administrator_group: str | None = None
    ca_file: Path | None = Field(None, description="PEM file of certificates to trust instead of the system's")
    timeout_s: float = Field(5.0, gt=0, le=60, description="longest wait for the provider")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.issuer is None:
            return self
        if not (self.client_id and self.public_url):
            raise ValueError("issuer needs client_id and public_url beside it")
        for url in (self.issuer, self.public_url):
            if not url.startswith(("https://", "http://127.0.0.1", "http://[::1]", "http://localhost")):
                raise ValueError(f"{url} must be https://, but on loopback")
        return self


class AccountsSettings(_Section):
    """People: how long sessions last, who sees whole numbers."""

    session_hours: float = Field(12.0, gt=0, le=24, description="longest a session lasts (SP 800-63B-4 2.2.3)")
    idle_minutes: float = Field(60.0, gt=0, le=1440, description="a session that is not used for as long ends")
    numbers_from: Literal["viewer", "analyst", "editor"] = Field(
        "viewer",
        description="role from which on numbers of calls are shown whole; below it without the last four digits",
    )
    ldap: LdapSettings = LdapSettings()
    oidc: OidcSettings = OidcSettings()


class SiteSettings(_Section):
    """The first site, created with the database; sites are edited through the API afterwards."""

    name: str = Field("main", min_length=1, max_length=64)
    country: str = Field("US", min_length=2, max_length=2, description="ISO 3166 code, for numbers without a prefix")
    own_ranges: tuple[str, ...] = Field((), description="the site's own number ranges, as patterns")


class DatasetStorageSettings(_Section):
    """How long the calls of a dataset stay in the database; days are dropped whole, the oldest first."""

    days: int = Field(90, ge=1, le=400, description="whole days that are kept, beside today")
    disk_percent: int = Field(70, ge=1, le=95, description="most of the disk that the dataset may take")


class ArchiveSettings(_Section):
    """Parquet archive of closed days: without `to` a day that is dropped is gone."""

    to: str | None = Field(
        None, pattern=r"^(/|s3://[^/]+).*", description="folder, or s3://BUCKET/PREFIX, that takes the archive"
    )
    after_days: int = Field(2, ge=1, le=399, description="days after its end that a day is archived")
    endpoint: str | None = Field(None, description="S3 server, http(s)://HOST:PORT; default: Amazon's")
    region: str | None = Field(None, description="S3 region; default: what the AWS environment says")


class StorageSettings(_Section):
    """What the database keeps, and what happens before its disk is full."""

    enum: DatasetStorageSettings = DatasetStorageSettings()
    sip: DatasetStorageSettings = DatasetStorageSettings()
    minute_days: int = Field(400, ge=1, le=3660, description="days that counts per minute are kept")
    hour_days: int = Field(1100, ge=1, le=3660, description="days that counts per hour and day are kept")
    full_percent: int = Field(
        85, ge=10, le=98, description="use of the disk, whoever fills it, from which the oldest days are dropped"
    )
    drop_unarchived: bool = Field(
        False,
        description="on a disk beyond full_percent, drop a day even if the archive cannot take it: its calls are lost",
    )
    disk_path: Path | None = Field(
        None, description="folder on the database's disk; default: that of the embedded database"
    )
    disk_bytes: int | None = Field(
        None, ge=1 << 26, description="size of the database's disk, where it is another machine's"
    )
    check_s: float = Field(30.0, ge=1, le=3600, description="how often disk and days are looked at")
    archive: ArchiveSettings = ArchiveSettings()


class LogSettings(_Section):
    """Logs: one named event with fields a line; `ringfence logs` reads them wherever they go."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"
    to: Literal["auto", "stderr", "file"] = Field(
        "auto",
        description="stderr (the journal under systemd) or file (DATA/log); auto: files of `ringfence up`, else stderr",
    )
    file_bytes: int = Field(16 << 20, ge=64 << 10, le=1 << 30, description="size at which a log file is put aside")
    files: int = Field(5, ge=1, le=100, description="how many that were put aside are kept")


class AvailabilitySettings(_Section):
    """The other pairs of this cluster: who is asked whether it was made the active one."""

    partners: tuple[str, ...] = Field((), description="mediation URLs of the other pairs, https://HOST:PORT")

    @field_validator("partners")
    @classmethod
    def _urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _covered(value)


class Settings(_Section):
    """The whole tree."""

    data: Path = Field(Path("ringfence-data"), description="data folder")
    url: str | None = Field(None, description="mediation to talk to (CLI on another machine)")
    token: str | None = Field(None, description="API token for `url`")
    database: DatabaseSettings = DatabaseSettings()
    api: ApiSettings = ApiSettings()
    enum: EnumSettings = EnumSettings()
    probe: ProbeSettings = ProbeSettings()
    trust: TrustSettings = TrustSettings()
    edge: EdgeSettings = EdgeSettings()
    backup: BackupSettings = BackupSettings()
    mail: MailSettings = MailSettings()
    accounts: AccountsSettings = AccountsSettings()
    site: SiteSettings = SiteSettings()
    storage: StorageSettings = StorageSettings()
    log: LogSettings = LogSettings()
    availability: AvailabilitySettings = AvailabilitySettings()

    @field_validator("data")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()


def load_settings(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Read file, environment and flags into one tree.

    `flags` maps dotted names (`enum.listen`) to values; `None` values are ignored. Raises
    `ConfigurationError` that names the field and its origin.
    """
    environment = os.environ if environment is None else environment
    if file is None and environment.get("RINGFENCE_CONFIG"):
        file = Path(environment["RINGFENCE_CONFIG"])
    tree: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source, values in (
        (str(file), _flatten(_read_file(file)) if file else {}),
        ("environment", _from_environment(environment)),
        ("command line", {name: value for name, value in (flags or {}).items() if value is not None}),
    ):
        for name, value in values.items():
            _put(tree, name, value)
            origin[name] = source
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise ConfigurationError(_one_line(error, origin)) from None


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"configuration file {file} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"configuration file {file} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"configuration file {file} is not TOML: {error}") from None


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _names(model: type[BaseModel], prefix: str = "") -> dict[str, bool]:
    """Every dotted field name, and whether it holds a list."""
    names: dict[str, bool] = {}
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            names.update(_names(annotation, f"{prefix}{name}."))
        else:
            names[f"{prefix}{name}"] = "tuple" in str(annotation)
    return names


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    by_variable = {ENVIRONMENT_PREFIX + name.replace(".", "_").upper(): name for name in _names(Settings)}
    is_list = _names(Settings)
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable.startswith(FOREIGN_ENVIRONMENT):
            continue
        name = by_variable.get(variable)
        if name is None:
            raise ConfigurationError(f"environment variable {variable} names no setting")
        values[name] = [part.strip() for part in text.split(",") if part.strip()] if is_list[name] else text
    return values


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    *parents, leaf = name.split(".")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigurationError(f"{parent}: is a section, not a value")
        tree = child
    tree[leaf] = value


def _one_line(error: ValidationError, origin: Mapping[str, str]) -> str:
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]
    name = ".".join(parts)
    source = next((origin[key] for key in origin if name == key or name.startswith(f"{key}.")), None)
    where = f" (from {source})" if source else ""
    if first["type"] == "extra_forbidden":
        return f"{name}: no such setting{where}"
    return f"{name}: {first['msg']}, got {first['input']!r}{where}"
