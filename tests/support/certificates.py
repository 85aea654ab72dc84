"""An authority of the tests' own and certificates that it signs."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A self-signed authority; `file` is what clients have to trust."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    file: Path

    def sign(self, folder: Path, address: str, days: tuple[int, int] = (-1, 30)) -> tuple[Path, Path]:
        """Write a certificate for an IP address or a name, and its key, into a folder; return both files.

        It is valid between two days, counted from now.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(address)])
        made = _builder("server", key.public_key(), self.certificate.subject, days).add_extension(names, critical=False)
        certificate = made.sign(self.key, hashes.SHA256())
        paths = folder / "server.crt", folder / "server.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].touch(mode=0o600)
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths


def authority(folder: Path, name: str = "authority", days: tuple[int, int] = (-1, 30)) -> Authority:
    """Make an authority; its certificate is written into a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    rights = x509.BasicConstraints(ca=True, path_length=None)
    made = _builder(name, key.public_key(), subject, days).add_extension(rights, critical=True)
    certificate = made.sign(key, hashes.SHA256())
    file = folder / f"{name}.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(key, certificate, file)


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _builder(
    name: str, key: ec.EllipticCurvePublicKey, issuer: x509.Name, days: tuple[int, int]
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * _DAY)
        .not_valid_after(now + days[1] * _DAY)
    )
