"""Verifies AWS Signature Version 4, as the engine's clients sign.

Source: the AWS General Reference, "Create a signed AWS API request". Two things are cached, because the data plane pays
for every microsecond: the key of the day, and what the constant part of an Authorization header says.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sm_magics.local.http import Exchange

__all__ = ["Unsigned", "Verifier"]

WINDOW_SECONDS = 300.0
_CACHE_SIZE = 512


class Unsigned(Exception):  # noqa: N818 - named for the request
    """The request is not signed as it must be; `code` is the error's code on the wire."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Scope(NamedTuple):
    """The constant part of an Authorization header."""

    access_key_id: str
    date: str
    date_bytes: bytes
    region: str
    service: str
    credential: bytes
    signed_headers: tuple[bytes, ...]
    signed_names: bytes


class Verifier:
    """Checks that a request was signed with the engine's own key, for its region, just now.

    Parameters
    ----------
    access_key_id, secret_access_key
        The one key pair that the engine accepts.
    region
        The region that a signature must be made for.
    now
        Returns the time in seconds since the epoch.
    """

    def __init__(self, access_key_id: str, secret_access_key: str, region: str, now: Callable[[], float]) -> None:
        self._access_key_id = access_key_id
        self._secret = secret_access_key.encode()
        self._region = region
        self._now = now
        self._scopes: dict[bytes, _Scope] = {}
        self._keys: dict[tuple[str, str], hmac.HMAC] = {}
        self._targets: dict[bytes, bytes] = {}
        self._times: dict[bytes, float] = {}

    def verify(self, exchange: Exchange, service: str) -> None:
        """Return when `exchange` is in order.

        Raises
        ------
        Unsigned
            When the signature is missing, wrong, for another key, region or service, or too old.
        """
        headers = exchange.headers
        get = headers.get
        constant, separator, signature = get(b"authorization", b"").rpartition(b"Signature=")
        if not separator:
            raise Unsigned("MissingAuthenticationTokenException", "Missing Authentication Token")
        scope = self._scopes.get(constant) or self._remember(constant)
        timestamp = get(b"x-amz-date", b"")
        self._check_scope(scope, service, timestamp, headers)
        canonical = b"%b\n%b\n%b\n\n%b\n%b" % (
            exchange.method,
            self._targets.get(exchange.target) or self._remember_target(exchange.target),
            b"\n".join([name + b":" + b" ".join(get(name, b"").split()) for name in scope.signed_headers]),
            scope.signed_names,
            sha256(exchange.body).hexdigest().encode(),
        )
        mac = self._key(scope.date, scope.service).copy()
        digest = sha256(canonical).hexdigest().encode()
        mac.update(b"AWS4-HMAC-SHA256\n%b\n%b\n%b" % (timestamp, scope.credential, digest))
        if not hmac.compare_digest(mac.hexdigest().encode(), signature.strip()):
            raise Unsigned(
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method.",
            )

    def _check_scope(self, scope: _Scope, service: str, timestamp: bytes, headers: Mapping[bytes, bytes]) -> None:
        if scope.access_key_id != self._access_key_id or b"x-amz-security-token" in headers:
            raise Unsigned("UnrecognizedClientException", "The security token included in the request is invalid.")
        if scope.region != self._region or scope.service != service:
            raise Unsigned(
                "InvalidSignatureException",
                f"Credential should be scoped to region '{self._region}' and service '{service}', "
                f"not '{scope.region}' and '{scope.service}'.",
            )
        for name in (b"host", b"x-amz-target"):
            if name in headers and name not in scope.signed_headers:
                raise Unsigned("InvalidSignatureException", f"'{name.decode()}' must be a signed header.")
        if timestamp[:8] != scope.date_bytes or abs(self._now() - self._seconds(timestamp)) > WINDOW_SECONDS:
            raise Unsigned("InvalidSignatureException", f"Signature expired or not yet current: {_shown(timestamp)}")

    def _seconds(self, timestamp: bytes) -> float:
        known = self._times.get(timestamp)
        if known is None:
            try:
                parsed = datetime.strptime(timestamp.decode("ascii"), "%Y%m%dT%H%M%SZ")  # noqa: DTZ007 - UTC, below
            except ValueError:
                raise Unsigned("IncompleteSignatureException", "Date in 'x-amz-date' is not valid.") from None
            if len(self._times) >= _CACHE_SIZE:
                self._times.clear()
            known = self._times[timestamp] = parsed.replace(tzinfo=UTC).timestamp()
        return known

    def _remember(self, constant: bytes) -> _Scope:
        if len(self._scopes) >= _CACHE_SIZE:
            self._scopes.clear()
        scope = self._scopes[constant] = _parse(constant)
        return scope

    def _remember_target(self, target: bytes) -> bytes:
        if len(self._targets) >= _CACHE_SIZE:
            self._targets.clear()
        canonical = self._targets[target] = b"%b\n%b" % _canonical_target(target)
        return canonical

    def _key(self, date: str, service: str) -> hmac.HMAC:
        """Return the signing key of a day and service, in a form that a copy of signs."""
        mac = self._keys.get((date, service))
        if mac is None:
            key = b"AWS4" + self._secret
            for part in (date, self._region, service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            if len(self._keys) >= _CACHE_SIZE:
                self._keys.clear()
            mac = self._keys[date, service] = hmac.new(key, digestmod="sha256")
        return mac


def _parse(constant: bytes) -> _Scope:
    text = constant.decode("latin-1").strip()
    algorithm, _, rest = text.partition(" ")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(",") if part.strip())
    credential = fields.get("Credential", "").split("/")
    names = fields.get("SignedHeaders", "")
    if algorithm != "AWS4-HMAC-SHA256" or len(credential) != 5 or credential[4] != "aws4_request" or not names:  # noqa: PLR2004 - a credential scope has five parts
        raise Unsigned("IncompleteSignatureException", "The Authorization header is not that of Signature Version 4.")
    key_id, date, region, service, _ = credential
    signed = tuple(name.encode("latin-1") for name in names.split(";"))
    scope = "/".join(credential[1:]).encode("latin-1")
    return _Scope(key_id, date, date.encode("latin-1"), region, service, scope, signed, names.encode("latin-1"))


def _canonical_target(target: bytes) -> tuple[bytes, bytes]:
    path, _, query = target.partition(b"?")
    if not path.isalnum() and any(byte not in _UNRESERVED for byte in path):
        path = quote(path, safe="/~").encode()  # the wire's path, encoded once more
    if query:
        pairs = (pair.partition(b"=")[::2] for pair in query.split(b"&"))
        encoded = sorted((quote(unquote_to_bytes(k), safe="~"), quote(unquote_to_bytes(v), safe="~")) for k, v in pairs)
        query = "&".join(f"{name}={value}" for name, value in encoded).encode()
    return path, query


_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def _shown(timestamp: bytes) -> str:
    return timestamp.decode("latin-1")[:32]
