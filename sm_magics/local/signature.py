"""Verifies AWS Signature Version 4, as the engine's clients sign.

Source: the AWS General Reference, "Create a signed AWS API request". Three things are kept, because the data plane pays
for every microsecond: the key of the day, what the constant part of an Authorization header says, and the part of the
canonical request that is before the body's hash, which is the same for all requests of one second. The body, the
canonical request and the signature are hashed anew for every request.
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
_LONGEST_KEPT = 4096  # bytes


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
    must_not_be: tuple[bytes, ...]  # headers that would have to be signed, and are not


class _Key:
    """A key of HMAC-SHA256 (RFC 2104), with what depends on it alone calculated once."""

    def __init__(self, key: bytes) -> None:
        block = key.ljust(sha256().block_size, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(self, text: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.hexdigest().encode()


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
        self._keys: dict[tuple[str, str], _Key] = {}
        self._openings: dict[tuple[bytes, bytes, bytes, tuple[bytes, ...]], bytes] = {}
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
        values = tuple([get(name, b"") for name in scope.signed_headers])
        facts = exchange.method, exchange.target, scope.signed_names, values
        opening = self._openings.get(facts) or self._remember_opening(scope, facts)
        canonical = opening + sha256(exchange.body).hexdigest().encode()
        digest = sha256(canonical).hexdigest().encode()
        text = b"AWS4-HMAC-SHA256\n%b\n%b\n%b" % (timestamp, scope.credential, digest)
        if not hmac.compare_digest(self._key(scope.date, scope.service).sign(text), signature.strip()):
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
        for name in scope.must_not_be:
            if name in headers:
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

    def _remember_opening(self, scope: _Scope, facts: tuple[bytes, bytes, bytes, tuple[bytes, ...]]) -> bytes:
        """Return the canonical request up to the body's hash."""
        method, target, names, values = facts
        lines = [
            name + b":" + b" ".join(value.split()) for name, value in zip(scope.signed_headers, values, strict=True)
        ]
        if len(self._openings) >= _CACHE_SIZE:
            self._openings.clear()
        opening = b"%b\n%b\n%b\n%b\n\n%b\n" % (method, *_canonical_target(target), b"\n".join(lines), names)
        if len(opening) <= _LONGEST_KEPT:
            self._openings[facts] = opening
        return opening

    def _key(self, date: str, service: str) -> _Key:
        """Return the signing key of a day and service."""
        known = self._keys.get((date, service))
        if known is None:
            key = b"AWS4" + self._secret
            for part in (date, self._region, service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            if len(self._keys) >= _CACHE_SIZE:
                self._keys.clear()
            known = self._keys[date, service] = _Key(key)
        return known


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
    must_not_be = tuple(name for name in (b"host", b"x-amz-target") if name not in signed)
    return _Scope(
        key_id, date, date.encode("latin-1"), region, service, scope, signed, names.encode("latin-1"), must_not_be
    )


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
