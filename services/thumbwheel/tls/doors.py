"""What servers take: credentials for gRPC, a context for HTTP, both of certificates that follow their files."""

from __future__ import annotations

import os
import ssl
from tempfile import TemporaryFile
from typing import IO, Any

import grpc

from thumbwheel.tls.certificates import DoorCertificates
from thumbwheel.tls.following import FollowedCertificates


def grpc_credentials(followed: FollowedCertificates) -> grpc.ServerCredentials:
    """Return a gRPC door's credentials, for one port. The certificates are looked at before each handshake."""
    given = followed.current()

    def changed() -> Any:
        nonlocal given
        found = followed.current()
        if found is given:
            return None
        given = found
        return _configuration(found)

    demanded = given.client_ca is not None
    return grpc.dynamic_ssl_server_credentials(_configuration(given), changed, demanded)


def _configuration(certificates: DoorCertificates) -> Any:
    pairs = [(certificates.key, certificates.chain)]
    return grpc.ssl_server_certificate_configuration(pairs, certificates.client_ca)


class FollowingContext(ssl.SSLContext):
    """A context for servers of asyncio and uvloop, whose every handshake is by certificates as they are then.

    A handshake is begun by `wrap_bio`, which is handed on to a context made of the latest certificates. To load them
    into one context would leave in it the authorities of before.
    """

    _followed: FollowedCertificates
    _made: tuple[DoorCertificates, ssl.SSLContext]
    _asks_clients: bool

    @classmethod
    def of(cls, followed: FollowedCertificates, asks_clients: bool = True) -> FollowingContext:
        """Return a context of `followed`; without `asks_clients` no client has to show a certificate."""
        context = cls(ssl.PROTOCOL_TLS_SERVER)
        context._followed = followed
        context._asks_clients = asks_clients
        context._made = (followed.current(), _context(followed.current(), asks_clients))
        return context

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:
        """Begin a handshake."""
        found = self._followed.current()
        if found is not self._made[0]:
            self._made = (found, _context(found, self._asks_clients))
        return self._made[1].wrap_bio(*args, **named)


def _context(certificates: DoorCertificates, asks_clients: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, certificates)
    if certificates.client_ca is not None and asks_clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=certificates.client_ca.decode("ascii", "ignore"))
    return context


def _load_pair(context: ssl.SSLContext, certificates: DoorCertificates) -> None:
    """Load what was read and checked. The library takes files alone, and those on disk may be others by now."""
    with _private_file() as file:
        file.write(certificates.key + b"\n" + certificates.chain)
        file.flush()
        file.seek(0)  # elsewhere than on Linux /dev/fd shares the place in the file
        context.load_cert_chain(f"/dev/fd/{file.fileno()}")


def _private_file() -> IO[bytes]:
    """In memory where the system can: no key lies in a temporary folder, which a container may not even have."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("tls"), "w+b")
    return TemporaryFile()
