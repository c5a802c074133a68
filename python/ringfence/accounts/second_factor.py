"""The second factor: time-based one-time codes (RFC 6238), and recovery codes for who has lost the device.

    begin ─► secret, shown as QR ─► confirm, with a first code ─► recovery codes, shown once ─► asked at each sign-in

A code is taken once: the step of the last one is kept, and none up to it is taken again, also by two sign-ins at one
time. The secret must be known to check codes, so it stands in the database as it is: protect backups like passwords.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.types.json import Jsonb

from ringfence.accounts import audit, credentials
from ringfence.accounts.credentials import TOTP_ROLES, Identity
from ringfence.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from ringfence.vocabulary import Role

ISSUER = "Ringfence"
STEP_S = 30  # RFC 6238 section 4.1
# Steps before and after the present one whose code is taken too (section 5.2): clocks of telephones.
TOLERANCE = 1
RECOVERY_CODES = 10
_SECRET_OCTETS = 20  # RFC 4226 section 4, R6


@dataclass(frozen=True)
class Enrolment:
    """What an authenticator application needs, shown once."""

    secret: str  # base32
    uri: str  # otpauth://
    qr: str  # SVG, as a data: URI


def begin(connection: Connection, identity: Identity, *, anew: bool = True) -> Enrolment:
    """A new secret for one's own account, which counts once `confirm` has seen a code of it. Not `anew`: the one that
    waits for that already. ConflictError: has one that counts."""
    import pyotp
    import segno

    row = connection.execute(
        """
        UPDATE account SET totp_secret = CASE WHEN %s THEN %s ELSE coalesce(totp_secret, %s) END
        WHERE account_id = %s AND totp_set_at IS NULL AND origin <> 'oidc' RETURNING totp_secret
        """,
        (anew, fresh := secrets.token_bytes(_SECRET_OCTETS), fresh, _own(identity)),
    ).fetchone()
    if row is None:
        raise ConflictError("second factor: is set up already, or is your provider's matter")
    secret = bytes(row[0])
    text = base64.b32encode(secret).decode("ascii")
    uri = pyotp.TOTP(text).provisioning_uri(name=identity.name, issuer_name=ISSUER)
    return Enrolment(text, uri, segno.make(uri, error="m").svg_data_uri(scale=5, border=3))


def confirm(connection: Connection, identity: Identity, code: str, now: datetime) -> list[str]:
    """Prove that the application has the secret; from now on codes are asked for. Returns the recovery codes."""
    account_id = _own(identity)
    row = connection.execute(
        "SELECT totp_secret FROM account WHERE account_id = %s AND totp_set_at IS NULL FOR UPDATE", (account_id,)
    ).fetchone()
    if row is None or row[0] is None:
        raise ConflictError("second factor: begin to set it up first")
    step = _step_of(bytes(row[0]), code, now)
    if step is None:
        raise InvalidInputError("code: is wrong; is the clock of your device right?", code="invalid.code")
    connection.execute(
        "UPDATE account SET totp_set_at = %s, totp_step = %s WHERE account_id = %s", (now, step, account_id)
    )
    codes = _new_recovery_codes(connection, account_id)
    credentials.revoke_sessions(connection, account_id, keep=identity.credential_id)
    audit.record(connection, identity.name, "second_factor.set", identity.name)
    return codes


def remove(connection: Connection, identity: Identity, code: str, now: datetime) -> None:
    """Do without one's own; needs a code. ForbiddenError where the role must have one."""
    account_id = _own(identity)
    if identity.role in required_roles(connection):
        raise ForbiddenError(f"the role {identity.role.word} needs a second factor")
    if not check_code(connection, account_id, code, now):
        raise InvalidInputError("code: is wrong, or was used already", code="invalid.code")
    _clear(connection, account_id)
    audit.record(connection, identity.name, "second_factor.remove", identity.name)


def renew_recovery_codes(connection: Connection, identity: Identity, code: str, now: datetime) -> list[str]:
    """New recovery codes in place of all that are left; needs a code."""
    account_id = _own(identity)
    if not check_code(connection, account_id, code, now):
        raise InvalidInputError("code: is wrong, or was used already", code="invalid.code")
    audit.record(connection, identity.name, "second_factor.recovery_codes", identity.name)
    return _new_recovery_codes(connection, account_id)


def reset(connection: Connection, name: str, actor: str) -> None:
    """Take somebody's second factor away, and end the sessions: for who has lost it. NotFoundError."""
    row = connection.execute("SELECT account_id FROM account WHERE name = %s", (name,)).fetchone()
    if row is None:
        raise NotFoundError(f"user {name!r} does not exist; `ringfence user list` shows those that do")
    _clear(connection, row[0])
    credentials.revoke_sessions(connection, row[0])
    audit.record(connection, actor, "second_factor.reset", name)


def check_code(connection: Connection, account_id: int, code: str, now: datetime) -> bool:
    """Whether a code is right and was not taken before, and take it: of the application, or a recovery code."""
    row = connection.execute(
        "SELECT totp_secret FROM account WHERE account_id = %s AND totp_set_at IS NOT NULL", (account_id,)
    ).fetchone()
    if row is None:
        return False
    step = _step_of(bytes(row[0]), code, now)
    if step is not None:
        taken = connection.execute(
            "UPDATE account SET totp_step = %s WHERE account_id = %s AND totp_step < %s", (step, account_id, step)
        )
        return taken.rowcount == 1
    used = connection.execute(
        "DELETE FROM recovery_code WHERE account_id = %s AND code_hash = %s", (account_id, _hash(code))
    )
    if used.rowcount:
        audit.record(connection, f"account {account_id}", "second_factor.recovery_code")
    return used.rowcount == 1


def required_roles(connection: Connection) -> frozenset[Role]:
    """The roles whose people must have a second factor."""
    row = connection.execute("SELECT value FROM setting WHERE key = %s", (TOTP_ROLES,)).fetchone()
    return frozenset(Role(number) for number in row[0]) if row else frozenset()


def require_for(connection: Connection, roles: Collection[Role], actor: str) -> None:
    """Ask for a second factor of these roles' people from their next request on, and of no others."""
    connection.execute(
        """
        INSERT INTO setting (key, value) VALUES (%s, %s)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, changed_at = now()
        """,
        (TOTP_ROLES, Jsonb(sorted(int(role) for role in roles))),
    )
    audit.record(connection, actor, "second_factor.require", "", {"roles": [role.word for role in sorted(roles)]})


def count_recovery_codes(connection: Connection, account_id: int) -> int:
    """How many are left."""
    row = connection.execute("SELECT count(*) FROM recovery_code WHERE account_id = %s", (account_id,)).fetchone()
    return int(row[0]) if row else 0


def _step_of(secret: bytes, code: str, now: datetime) -> int | None:
    """The step whose code this is; None: of none within the tolerance."""
    import pyotp

    digits = code.replace(" ", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) == 6):
        return None
    present = int(now.timestamp()) // STEP_S
    generator = pyotp.TOTP(base64.b32encode(secret).decode("ascii"))
    found = None
    for step in range(present - TOLERANCE, present + TOLERANCE + 1):
        if secrets.compare_digest(generator.generate_otp(step), digits):
            found = step
    return found


def _new_recovery_codes(connection: Connection, account_id: int) -> list[str]:
    connection.execute("DELETE FROM recovery_code WHERE account_id = %s", (account_id,))
    # 50 bits each: looked up by an index over their hash, tried as rarely as passwords.
    codes = [base64.b32encode(secrets.token_bytes(7)).decode("ascii")[:10].lower() for _ in range(RECOVERY_CODES)]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO recovery_code (account_id, code_hash) VALUES (%s, %s)",
            [(account_id, _hash(code)) for code in codes],
        )
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def _hash(code: str) -> bytes:
    kept = "".join(character for character in code.lower() if character.isalnum())
    return hashlib.sha256(kept.encode("utf-8", "surrogatepass")).digest()


def _clear(connection: Connection, account_id: int) -> None:
    connection.execute("UPDATE account SET totp_secret = NULL, totp_set_at = NULL WHERE account_id = %s", (account_id,))
    connection.execute("DELETE FROM recovery_code WHERE account_id = %s", (account_id,))


def _own(identity: Identity) -> int:
    if identity.account_id is None or not identity.is_session:
        raise ForbiddenError("a token has no second factor: sign in to set up yours")
    return identity.account_id
