"""OpenLDAP's slapd with a small directory, unprivileged, on free ports of loopback; and a certificate for it."""

from __future__ import annotations

import ipaddress
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.mediation_server import wait_until

BASE = "dc=example,dc=com"
PASSWORD = "a password of the directory"
SEARCHER = f"cn=ringfence,{BASE}"
SEARCHER_PASSWORD = "searches and no more"

_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
localSSF 256
security simple_bind=128
database mdb
maxsize 10485760
suffix "dc=example,dc=com"
rootdn "cn=root,dc=example,dc=com"
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=ringfence,dc=example,dc=com" read by * none
"""


@dataclass(frozen=True)
class Slapd:
    """The running server."""

    port: int
    tls_port: int
    authorities: Path
    folder: Path

    def modify(self, ldif: str) -> None:
        """Change entries as the directory's administrator would: offline tools know no password."""
        subprocess.run(
            ["ldapmodify", "-x", "-H", f"ldapi://{str(self.folder / 'ldapi').replace('/', '%2F')}", "-D",
             f"cn=root,{BASE}", "-w", "root's own"],
            input=ldif, text=True, check=True, capture_output=True, timeout=60,
        )  # fmt: skip


@contextmanager
def running_slapd(folder: Path) -> Iterator[Slapd]:
    """A server with the entries of `_LDIF`, until leaving."""
    program = shutil.which("slapd", path="/usr/sbin:/usr/bin")
    assert program is not None, "Debian's slapd is needed"
    (folder / "data").mkdir()
    _certify(folder)
    text = _CONFIGURATION.format(folder=folder) + 'rootpw "root\'s own"\n'
    (folder / "slapd.conf").write_text(text)
    (folder / "entries.ldif").write_text(_LDIF)
    subprocess.run(
        [program, "-T", "add", "-f", folder / "slapd.conf", "-l", folder / "entries.ldif"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        port, tls_port = one.getsockname()[1], other.getsockname()[1]
    places = f"ldap://127.0.0.1:{port} ldaps://127.0.0.1:{tls_port} ldapi://{str(folder / 'ldapi').replace('/', '%2F')}"
    process = subprocess.Popen([program, "-d", "0", "-h", places, "-f", folder / "slapd.conf"])
    try:
        wait_until(lambda: _answers(tls_port), 60)
        yield Slapd(port, tls_port, folder / "ca.pem", folder)
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _certify(folder: Path) -> None:
    """An authority, and the server's certificate for 127.0.0.1 alone."""
    now = datetime.now(UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "server")}
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
    for name, key in keys.items():
        is_ca = name == "ca"
        subject = issuer if is_ca else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "directory")])
        certificate = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )  # fmt: skip
        if not is_ca:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
            certificate = certificate.add_extension(names, critical=False)
        signed = certificate.sign(keys["ca"], hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        keys["server"].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _person(name: str, **more: str) -> str:
    extra = "".join(f"{key}: {value}\n" for key, value in more.items())
    return (
        f"dn: uid={name},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n"
        f"userPassword: {PASSWORD}\n{extra}\n"
    )


def _group(name: str, *members: str) -> str:
    listed = "".join(f"member: {member}\n" for member in members)
    return f"dn: cn={name},ou=groups,{BASE}\nobjectClass: groupOfNames\ncn: {name}\n{listed}\n"


def person_dn(name: str) -> str:
    """The DN of somebody."""
    return f"uid={name},ou=people,{BASE}"


def group_dn(name: str) -> str:
    """The DN of a group."""
    return f"cn={name},ou=groups,{BASE}"


# ada is an administrator by a group in a group; the groups go round in a circle.
_LDIF = (
    f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n"
    f"dn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people\n\n"
    f"dn: ou=groups,{BASE}\nobjectClass: organizationalUnit\nou: groups\n\n"
    f"dn: {SEARCHER}\nobjectClass: person\ncn: ringfence\nsn: ringfence\nuserPassword: {SEARCHER_PASSWORD}\n\n"
    + _person("ada")
    + _person("bob")
    + _person("cleo")
    + _person("eve", employeeType="disabled")
    + _group("night-shift", person_dn("ada"), group_dn("voice-admins"))
    + _group("voice-admins", group_dn("night-shift"))
    + _group("watchers", person_dn("ada"), person_dn("bob"), person_dn("eve"))
)
