"""Certificates and their keys, read from PEM files and checked before anybody meets them.

A server that begins with a key of another certificate, or with one that has expired, would answer every client with a
broken handshake. So it is refused here, in one line that names the setting, what is wrong and what to do.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from thumbwheel.errors import InvalidConfig

_LONGEST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class PemFile:
    """A file, and the setting that named it."""

    setting: str
    path: Path

    def read(self) -> bytes:
        """Return its bytes. Raises InvalidConfig when it is absent, can't be read, or is no file of this kind."""
        try:
            with self.path.open("rb") as file:
                content = file.read(_LONGEST_BYTES + 1)
        except OSError as error:
            raise self.wrong(f"can't be read ({error.strerror}); mend its path or its rights") from error
        if len(content) > _LONGEST_BYTES:
            raise self.wrong(f"has more than {_LONGEST_BYTES:,} bytes; name a PEM file")
        return content

    def wrong(self, problem: str) -> InvalidConfig:
        """Return the error that says so of this file."""
        return InvalidConfig(self.setting, f"{self.path} {problem}")


@dataclass(frozen=True, slots=True)
class DoorFiles:
    """What a door's TLS is made of. With `client_ca` it asks for clients' certificates, and takes no others."""

    certificate: PemFile
    key: PemFile
    client_ca: PemFile | None = None

    @property
    def all(self) -> tuple[PemFile, ...]:
        """Every file."""
        return (self.certificate, self.key, *([self.client_ca] if self.client_ca else []))


@dataclass(frozen=True, slots=True)
class DoorCertificates:
    """The content of those files, checked. `expires` is the earliest end of what is shown to clients."""

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    expires: dt.datetime
    names: tuple[str, ...]


def read_door(files: DoorFiles, now: dt.datetime) -> DoorCertificates:
    """Read and check what a door shows. `now` is aware of its time zone.

    Raises InvalidConfig: a file is missing or no PEM, the key is encrypted or of another certificate, the certificate
    or every clients' authority has expired, or is not valid yet.
    """
    chain, key = files.certificate.read(), files.key.read()
    certificates = _parse(files.certificate, chain)
    demand_valid(files.certificate, certificates[:1], now)
    if _public_bytes(certificates[0].public_key()) != _public_bytes(_public_key(files.key, key)):
        raise files.key.wrong(
            f"is the key of another certificate than {files.certificate.path}; name the pair that was issued together"
        )
    client_ca = files.client_ca.read() if files.client_ca else None
    if files.client_ca and client_ca is not None:
        demand_valid(files.client_ca, _parse(files.client_ca, client_ca), now)
    return DoorCertificates(chain, key, client_ca, min(map(_end, certificates)), _names(certificates[0]))


def read_authorities(file: PemFile, now: dt.datetime) -> bytes:
    """Return the authorities in a file. Raises InvalidConfig: missing, no PEM, or none of them is valid now."""
    content = file.read()
    demand_valid(file, _parse(file, content), now)
    return content


def earliest_end(file: PemFile) -> dt.datetime:
    """Return when the first of the certificates in a file expires. Raises InvalidConfig."""
    return min(map(_end, _parse(file, file.read())))


def demand_valid(file: PemFile, certificates: Sequence[x509.Certificate], now: dt.datetime) -> None:
    """Raise InvalidConfig when none of the certificates is valid now."""
    if any(one.not_valid_before_utc <= now <= _end(one) for one in certificates):
        return
    first = certificates[0]
    if now > _end(first):
        raise file.wrong(f"expired on {_day(_end(first))}; put a renewed certificate there")
    raise file.wrong(
        f"is not valid before {_day(first.not_valid_before_utc)}; wait, set this machine's clock, or use another"
    )


def _parse(file: PemFile, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise file.wrong("has no certificate in PEM form; name the file that begins with BEGIN CERTIFICATE") from error


def _public_key(file: PemFile, content: bytes) -> PublicKeyTypes:
    try:
        return serialization.load_pem_private_key(content, password=None).public_key()
    except TypeError as error:
        cure = "write it without a passphrase into a file that only the service can read"
        raise file.wrong(f"is encrypted; {cure}") from error
    except ValueError as error:
        raise file.wrong("has no private key in PEM form; name the file that begins with BEGIN PRIVATE KEY") from error


def _public_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _end(certificate: x509.Certificate) -> dt.datetime:
    return certificate.not_valid_after_utc


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return what the certificate is for: names and addresses that clients may reach it by."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(one) for one in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def _day(time: dt.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
