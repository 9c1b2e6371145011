"""HTTP, set up as botocore sets up its own: the same timeouts, certificates and proxies, the same errors."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sm_magics.compare.direct import Direct
from sm_magics.compare.invocation import OPERATION, Unanswered
from sm_magics.connection import unreached

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from sm_magics.compare.invocation import Invocation

__all__ = ["connected"]

_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@asynccontextmanager
async def connected(invocation: Invocation, connections: int) -> AsyncIterator[Any]:
    """Give the function that sends one request, as `Direct.send` does.

    It raises `Unanswered`. No more than `connections` requests may be under way at a time; what is open is used again.

    Raises
    ------
    ServiceError
        When the certificates that are configured cannot be read.
    """
    # What botocore has made of the client's settings, the profile and the environment is known here only.
    http = invocation.client._endpoint.http_session  # noqa: SLF001
    proxy = http._proxy_config.proxy_url_for(invocation.url)  # noqa: SLF001
    trust = None
    if invocation.url.startswith("https:"):
        try:
            trust = _trust(http._verify, invocation.client.meta.config.client_cert)  # noqa: SLF001
        except OSError as error:
            raise unreached(OPERATION, error) from error
    if proxy:
        async with _by_proxy(invocation, connections, trust, proxy) as send:
            yield send
    else:
        direct = Direct(invocation, trust)
        try:
            yield direct.send
        finally:
            direct.close()


@asynccontextmanager
async def _by_proxy(
    invocation: Invocation, connections: int, trust: ssl.SSLContext | None, proxy: str
) -> AsyncIterator[Any]:
    """Give the function that sends by a proxy, which aiohttp knows how to."""
    import aiohttp
    from yarl import URL

    config = invocation.client.meta.config
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=trust or True),
        headers=invocation.constant,
        skip_auto_headers=_AUTOMATIC,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(sock_connect=config.connect_timeout, sock_read=config.read_timeout),
        auto_decompress=False,
    ) as session:
        options: Any = {"url": URL(invocation.url, encoded=True), "proxy": proxy, "allow_redirects": False}

        async def send(
            body: bytes, headers: Mapping[str, str], connected: Callable[[], None]
        ) -> tuple[int, Mapping[str, str], bytes]:
            connected()  # near enough: aiohttp does not tell when it is
            try:
                async with session.post(data=body, headers=headers, **options) as response:
                    told = {name.lower(): value for name, value in response.headers.items()}
                    return response.status, told, await response.read()
            except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
                raise Unanswered(_as_botocore_says(error, invocation.url, proxy)) from error

        yield send


def _trust(verify: Any, certificate: Any) -> ssl.SSLContext:
    """Return what decides whom to believe: `verify` and `certificate` as botocore takes them."""
    from botocore.httpsession import get_cert_path

    if verify:
        context = ssl.create_default_context(cafile=get_cert_path(verify))
    else:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(*([certificate] if isinstance(certificate, str) else certificate))
    return context


def _as_botocore_says(error: Exception, url: str, proxy: str) -> Exception:
    """Return botocore's exception for what went wrong between here and the service."""
    import aiohttp
    from botocore import exceptions
    from botocore.httpsession import mask_proxy_url

    kinds: tuple[tuple[Any, Any], ...] = (  # the first that fits
        (aiohttp.ClientSSLError, exceptions.SSLError),
        ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), exceptions.ProxyConnectionError),
        (aiohttp.ConnectionTimeoutError, exceptions.ConnectTimeoutError),
        (aiohttp.ClientConnectorError, exceptions.EndpointConnectionError),
        (TimeoutError, exceptions.ReadTimeoutError),
        ((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError), exceptions.ConnectionClosedError),
    )
    kind: Any = next((says for ours, says in kinds if isinstance(error, ours)), exceptions.HTTPClientError)
    told: Exception = kind(endpoint_url=url, proxy_url=mask_proxy_url(proxy), error=error, request=None)
    return told
