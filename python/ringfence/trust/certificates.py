"""Keys and certificates, made and read: EC P-256, SHA-256 (RFC 5280, RFC 5480). Pure but for the random numbers.

`cryptography` is imported where it is used: most commands do without it.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ringfence.errors import InvalidInputError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

# Nobody renews a self-made certificate of a listener: edges know it by its fingerprint, and a new one cuts them off.
LISTENER_LIFETIME = timedelta(days=3650)
AUTHORITY_LIFETIME = timedelta(days=7300)
# A device asks for the next one when a third of this is left (edge/renewal.py).
DEVICE_LIFETIME = timedelta(days=90)
_CLOCKS_DIFFER = timedelta(hours=1)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, as PEM."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Facts:
    """What a certificate says of itself. `names`: DNS names and addresses it is for; `fingerprint`: SHA-256, hex."""

    subject: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str
    is_self_signed: bool

    def covers(self, host: str) -> bool:
        """Whether a client that asks for `host` accepts it (RFC 6125: a wildcard stands for one whole label)."""
        wanted = host.strip("[]").lower()
        return any(
            name.lower() == wanted or (name.startswith("*.") and wanted.partition(".")[2] == name[2:].lower())
            for name in self.names
        )


def make_listener(names: Iterable[str], now: datetime) -> KeyPair:
    """A self-signed certificate of a listener that is reached by these names and addresses."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = _new_key()
    builder = _builder("Ringfence mediation", "Ringfence mediation", key.public_key(), now, LISTENER_LIFETIME)
    builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
    return _signed(builder, key, key)


def make_authority(now: datetime) -> KeyPair:
    """The authority that signs what devices ask for, and nothing else."""
    from cryptography import x509

    key = _new_key()
    name = f"Ringfence devices {key.public_key().public_numbers().x:x}"[:34]  # two deployments' differ
    builder = _builder(name, name, key.public_key(), now, AUTHORITY_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    builder = builder.add_extension(
        x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        ),
        True,
    )  # fmt: skip
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    return _signed(builder, key, key)


def make_request(name: str) -> tuple[str, str]:
    """A device's new key, which never leaves it, and the request to sign its public half; both PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    key = _new_key()
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(name)).sign(key, hashes.SHA256())
    return _key_pem(key), request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def sign_request(authority: KeyPair, request: str, device: str, now: datetime) -> str:
    """The certificate of a device, PEM. Of the request only its public key counts. InvalidInputError."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    fault = InvalidInputError("request: is not a signed PKCS #10 request for an EC P-256 key", code="invalid.request")
    try:
        asked = x509.load_pem_x509_csr(request.encode("ascii"))
        public = asked.public_key()
        is_proven = asked.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise fault from None
    if not is_proven or not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise fault
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    key = serialization.load_pem_private_key(authority.key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - as `make_authority` made it
    builder = _builder(device, "", public, now, DEVICE_LIFETIME).issuer_name(issuer.subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
    return _signed(builder, key, None).certificate


def read_certificate(pem: str) -> Facts:
    """Facts of the first certificate of a PEM text. InvalidInputError."""
    from cryptography import x509

    blocks = split_pem(pem)
    if not blocks:
        raise InvalidInputError("certificate: holds no PEM block")
    try:
        found = x509.load_pem_x509_certificate(blocks[0].encode("ascii"))
        names = _names_of(found)
        return Facts(
            subject=common_name(ssl.PEM_cert_to_DER_cert(blocks[0])) or found.subject.rfc4514_string(),
            names=names,
            not_before=found.not_valid_before_utc,
            not_after=found.not_valid_after_utc,
            fingerprint=fingerprint(blocks[0]),
            is_self_signed=found.issuer == found.subject,
        )
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"certificate: cannot be read: {error}") from None


def common_name(der: bytes) -> str:
    """The subject's common name; '' where it has none."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    found = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def split_pem(text: str) -> list[str]:
    """Its certificates, in order."""
    return _PEM.findall(text)


def fingerprint(pem: str) -> str:
    """SHA-256 of the first certificate, in lower-case hexadecimal."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(split_pem(pem)[0])).hexdigest()


def shown_fingerprint(digits: str) -> str:
    """As people compare it: pairs with colons."""
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).upper()


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _builder(subject: str, issuer: str, public: object, now: datetime, lifetime: timedelta) -> x509.CertificateBuilder:
    from cryptography import x509

    builder = x509.CertificateBuilder(
        subject_name=_name(subject),
        issuer_name=_name(issuer) if issuer else None,
        public_key=public,  # type: ignore[arg-type]
        serial_number=x509.random_serial_number(),
    )
    start = now.astimezone(UTC) - _CLOCKS_DIFFER
    return builder.not_valid_before(start).not_valid_after(now.astimezone(UTC) + lifetime)


def _signed(
    builder: x509.CertificateBuilder, by: EllipticCurvePrivateKey, own: EllipticCurvePrivateKey | None
) -> KeyPair:
    from cryptography.hazmat.primitives import hashes, serialization

    made = builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")
    return KeyPair(made, _key_pem(own) if own is not None else "")


def _key_pem(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name.strip("[]")))
    except ValueError:
        return x509.DNSName(name)


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = found.get_values_for_type(x509.DNSName)
    return (*names, *(str(address) for address in found.get_values_for_type(x509.IPAddress)))
