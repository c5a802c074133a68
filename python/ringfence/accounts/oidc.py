"""Signing in with an OpenID Connect provider (OpenID Connect Core 1.0, authorization code flow with PKCE, RFC 7636).

    begin ─► state, nonce, verifier kept ─► the provider ─► finish: state used up ─► code for tokens ─► ID token checked

The state is good once, for ten minutes, and only in the browser that began. The ID token must be signed with a key
that the provider publishes, by an asymmetric algorithm; for us, by the issuer, in time, with our nonce (section
3.1.3.7). Keys are read again when one is not known, so a provider may change them at any time.
"""

from __future__ import annotations

import hashlib
import secrets
import ssl
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode

import structlog
from psycopg import Connection

from ringfence.errors import ConfigurationError, InvalidInputError, NotSignedInError, UnavailableError
from ringfence.settings import OidcSettings
from ringfence.vocabulary import Role

REQUEST_LIFETIME = timedelta(minutes=10)
LEEWAY_S = 60  # clocks of providers
BACK = "/sign-in/oidc/back"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_DISCOVERED_FOR_S = 3600.0
log = structlog.get_logger()


@dataclass(frozen=True)
class ProvenPerson:
    """Who the provider says signed in. `subject` never changes; `name` is for people; `role` None: none is given."""

    subject: str
    name: str
    role: Role | None
    target: str


class Provider:
    """The provider of the settings; what it publishes is read when it is first needed, and now and then again."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._metadata: dict[str, Any] = {}
        self._read_at: datetime | None = None
        self._keys: dict[str, Any] = {"keys": []}

    def begin(self, connection: Connection, browser: str, target: str, now: datetime) -> str:
        """The provider's URL to send the browser to. `browser`: the secret of its cookie. UnavailableError."""
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        endpoint = self._discovered(now)["authorization_endpoint"]
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        connection.execute(
            """
            INSERT INTO oidc_request (state_hash, browser, nonce, verifier, target, made_at)
            VALUES (%s, %s, %s, %s, %s, %s)
            """,
            (_hash(state), _hash(browser), nonce, verifier, target, now),
        )
        asked = {
            "response_type": "code", "client_id": self._settings.client_id, "redirect_uri": self._redirect_uri,
            "scope": " ".join(self._settings.scopes), "state": state, "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256",
        }  # fmt: skip
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    def finish(
        self, connection: Connection, browser: str, state: str, code: str, issuer: str | None, now: datetime
    ) -> ProvenPerson:
        """Who came back. NotSignedInError for whatever does not hold, UnavailableError when the provider is away."""
        row = connection.execute(
            "DELETE FROM oidc_request WHERE state_hash = %s RETURNING browser, nonce, verifier, target, made_at",
            (_hash(state),),
        ).fetchone()
        connection.commit()  # used up, whatever follows
        if row is None or bytes(row[0]) != _hash(browser) or now - row[4] > REQUEST_LIFETIME:
            raise _refused("state", "the sign-in took too long, was used already, or began in another browser")
        if issuer is not None and issuer != self._settings.issuer:  # RFC 9207
            raise _refused("issuer", "the answer is of another provider")
        tokens = self._tokens(code, row[2], now)
        claims = self._claims(str(tokens.get("id_token", "")), row[1], now)
        missing = {self._settings.name_claim, self._settings.role_claim.split(".")[0]} - claims.keys()
        if missing:
            claims = self._user_info(str(tokens.get("access_token", "")), str(claims["sub"]), now) | claims
        return ProvenPerson(
            f"{self._settings.issuer} {claims['sub']}", str(claims.get(self._settings.name_claim) or ""),
            self._role(claims), row[3],
        )  # fmt: skip

    def sign_out_url(self, now: datetime) -> str | None:
        """Where a browser signs out of the provider too; None where it offers that not, or is away."""
        try:
            endpoint = self._discovered(now).get("end_session_endpoint")
        except UnavailableError:
            return None
        if not endpoint:
            return None
        back = f"{(self._settings.public_url or '').rstrip('/')}/sign-in"
        asked = {"client_id": self._settings.client_id, "post_logout_redirect_uri": back}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    @property
    def _redirect_uri(self) -> str:
        return f"{(self._settings.public_url or '').rstrip('/')}{BACK}"

    def _tokens(self, code: str, verifier: str, now: datetime) -> dict[str, Any]:
        """The code for tokens (RFC 6749 section 4.1.3), by the secret where there is one."""
        import httpx

        endpoint = self._discovered(now)["token_endpoint"]
        secret = self._secret()
        asked = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri,
            "code_verifier": verifier, "client_id": self._settings.client_id,
        }  # fmt: skip
        # Section 2.3.1: both are form-encoded first.
        basic: Any = httpx.USE_CLIENT_DEFAULT
        if secret:
            basic = (quote_plus(self._settings.client_id), quote_plus(secret))
        try:
            with httpx.Client(**self._http_options()) as client:
                response = client.post(endpoint, data=asked, auth=basic, headers={"Accept": "application/json"})
                found = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._away(error) from None
        if response.is_error or not isinstance(found, dict) or "id_token" not in found:
            said = str(found.get("error", "")) if isinstance(found, dict) else ""
            raise _refused("code", f"the provider refused the code{': ' if said else ''}{said[:80]}")
        return found

    def _claims(self, id_token: str, nonce: str, now: datetime) -> dict[str, Any]:
        """The claims of an ID token that holds. NotSignedInError says why not, to the log too."""
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            token = self._verified(jwt, id_token, now)
            claims = CodeIDToken(
                token.claims, token.header,
                {
                    "iss": {"essential": True, "values": [self._settings.issuer]},
                    "aud": {"essential": True, "values": [self._settings.client_id]},
                    "sub": {"essential": True},
                },
                {"nonce": nonce, "client_id": self._settings.client_id},
            )  # fmt: skip
            claims.validate(now=int(now.timestamp()), leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            log.warning("oidc.refused", error=str(error)[:200])
            raise _refused("id_token", "the provider's ID token does not hold") from None
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self._settings.client_id:
            raise _refused("id_token", "the provider's ID token is for another client")
        return dict(claims)

    def _verified(self, jwt: Any, id_token: str, now: datetime) -> Any:
        """The token, when a published key signed it; the keys are read afresh once when none did."""
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        key_set: Any = KeySet

        if self._keys["keys"]:
            try:
                return jwt.decode(id_token, key_set.import_key_set(self._keys), algorithms=list(ALGORITHMS))
            except (JoseError, ValueError):
                log.info("oidc.keys_read_again")
        self._keys = self._get(self._discovered(now)["jwks_uri"])
        return jwt.decode(id_token, key_set.import_key_set(self._keys), algorithms=list(ALGORITHMS))

    def _user_info(self, access_token: str, subject: str, now: datetime) -> dict[str, Any]:
        """What the provider says beside the ID token; nothing when it is not of the same person (section 5.3.2)."""
        endpoint = self._discovered(now).get("userinfo_endpoint")
        if not endpoint or not access_token:
            return {}
        found = self._get(endpoint, {"Authorization": f"Bearer {access_token}"})
        return found if found.get("sub") == subject else {}

    def _role(self, claims: dict[str, Any]) -> Role | None:
        value: Any = claims
        for part in self._settings.role_claim.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        values = {str(one) for one in value} if isinstance(value, list) else {str(value)}
        settings = self._settings
        groups = (
            (Role.ADMINISTRATOR, settings.administrator_group), (Role.EDITOR, settings.editor_group),
            (Role.ANALYST, settings.analyst_group), (Role.VIEWER, settings.viewer_group),
        )  # fmt: skip
        return next((role for role, group in groups if group and group in values), None)

    def _discovered(self, now: datetime) -> dict[str, Any]:
        """The provider's metadata (OpenID Connect Discovery 1.0). UnavailableError, ConfigurationError."""
        with self._lock:
            if self._read_at is not None and (now - self._read_at).total_seconds() < _DISCOVERED_FOR_S:
                return self._metadata
            issuer = (self._settings.issuer or "").rstrip("/")
            found = self._get(f"{issuer}/.well-known/openid-configuration")
            if found.get("issuer") != self._settings.issuer:  # section 4.3
                raise ConfigurationError(
                    f"accounts.oidc.issuer: {self._settings.issuer} calls itself {found.get('issuer')!r}"
                )
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not isinstance(found.get(name), str):
                    raise ConfigurationError(f"accounts.oidc.issuer: its metadata has no {name}")
            self._metadata, self._read_at = found, now
            return found

    def _get(self, url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        import httpx

        try:
            with httpx.Client(**self._http_options()) as client:
                response = client.get(url, headers=headers)
                response.raise_for_status()
                found = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._away(error) from None
        if not isinstance(found, dict):
            raise self._away(ValueError("answers no JSON object"))
        return found

    def _http_options(self) -> dict[str, Any]:
        file = self._settings.ca_file
        verify = ssl.create_default_context(cafile=str(file)) if file else True
        return {"timeout": self._settings.timeout_s, "trust_env": False, "verify": verify}

    def _secret(self) -> str | None:
        file = self._settings.client_secret_file
        try:
            return file.read_text(encoding="utf-8").strip() if file else None
        except OSError as error:
            raise ConfigurationError(f"accounts.oidc.client_secret_file: {file}: {error.strerror}") from None

    def _away(self, error: Exception) -> UnavailableError:
        log.warning("oidc.away", issuer=self._settings.issuer, error=str(error)[:200])
        return UnavailableError(
            "the provider cannot be reached now; accounts of this console still sign in", code="unavailable.provider"
        )


def check_answer(state: str | None, code: str | None, error: str | None) -> tuple[str, str]:
    """State and code of what the provider sent back; InvalidInputError when it refused, or it is not an answer."""
    if error:
        raise InvalidInputError(f"the provider did not sign you in: {error[:80]}", code="invalid.oidc")
    if not state or not code:
        raise InvalidInputError("the provider's answer is not one", code="invalid.oidc")
    return state, code


def _refused(what: str, words: str) -> NotSignedInError:
    return NotSignedInError(words, code="not_signed_in.oidc", detail={"what": what})


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
