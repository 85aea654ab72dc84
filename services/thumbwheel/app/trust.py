"""What stands between a process and its network: TLS at its doors, and what its own calls show at others'.

A door beyond loopback without TLS, or where no key is asked for, is not opened unless the settings say so plainly.
Nothing falls back to plain text.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import grpc

from thumbwheel.client import Tls
from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidConfig
from thumbwheel.hosts.loopback import is_loopback
from thumbwheel.tls.certificates import DoorFiles, PemFile, read_authorities, read_door
from thumbwheel.tls.doors import FollowingContext, grpc_credentials
from thumbwheel.tls.following import FollowedCertificates, utc_now

KEY_VARIABLE = "THUMBWHEEL_API_KEY"
_EVERY = ("0.0.0.0", "::")


def door_files(settings: Settings) -> DoorFiles | None:
    """Return what the doors' TLS is made of, or None where they have none."""
    tls = settings.tls
    if tls.certificate_file is None or tls.key_file is None:
        return None
    client_ca = PemFile("tls.client_ca_file", tls.client_ca_file) if tls.client_ca_file else None
    return DoorFiles(
        PemFile("tls.certificate_file", tls.certificate_file), PemFile("tls.key_file", tls.key_file), client_ca
    )


def grpc_tls(settings: Settings) -> Callable[[], grpc.ServerCredentials] | None:
    """Return what makes credentials for each gRPC door, or None. Raises InvalidConfig when the files can't be used."""
    files = door_files(settings)
    return partial(grpc_credentials, FollowedCertificates(files)) if files else None


def http_tls(settings: Settings) -> ssl.SSLContext | None:
    """Return what an HTTP door shows, or None. Raises InvalidConfig when the files can't be used."""
    files = door_files(settings)
    if files is None:
        return None
    return FollowingContext.of(FollowedCertificates(files), asks_clients=settings.tls.client_doors == "all")


def calls_tls(settings: Settings, address: str) -> Tls | None:
    """Return how this process's own calls reach the door at `address` by TLS, or None where they don't.

    Raises InvalidConfig when a file can't be used: it is missing, a key is of another certificate, or all have expired;
    or the door is of this machine and asks for a certificate that the caller has not.
    """
    tls = settings.tls
    if not tls.calls_by_tls:
        return None
    if tls.ca_file:
        read_authorities(PemFile("tls.ca_file", tls.ca_file), utc_now())
    if tls.client_certificate_file and tls.client_key_file:
        shown = PemFile("tls.client_certificate_file", tls.client_certificate_file)
        read_door(DoorFiles(shown, PemFile("tls.client_key_file", tls.client_key_file)), utc_now())
    elif tls.client_ca_file and _is_here(address):
        raise InvalidConfig(
            "tls.client_certificate_file",
            f"the door at {address} takes nobody without a certificate (tls.client_ca_file), and the calls of the "
            "pages and of the command line have none; set it, and tls.client_key_file",
        )
    name = tls.server_name or _own_name(settings, address)
    return Tls(tls.ca_file, tls.client_certificate_file, tls.client_key_file, name)


def _own_name(settings: Settings, address: str) -> str:
    """Return what a door of this machine calls itself, where its certificate is not for the address; else nothing."""
    files, host = door_files(settings), _host(address)
    if files is None or not _is_here(address):
        return ""
    names = read_door(files, utc_now()).names
    return "" if host in names or not names else names[0].replace("*", "thumbwheel")


def _is_here(address: str) -> bool:
    return is_loopback(_host(address)) or _host(address) in _EVERY


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def demand_guarded(settings: Settings, doors: Mapping[str, str]) -> None:
    """Refuse doors (host by setting) that would be open to others, and certificates that can't be used.

    To be asked before anything that takes long. Raises InvalidConfig.
    """
    if files := door_files(settings):
        read_door(files, utc_now())
    for setting, host in doors.items():
        if not is_loopback(host):
            _demand_tls(settings, setting, host)
            if not setting.startswith("probes."):
                _demand_keys(settings, setting, host)


def _demand_tls(settings: Settings, setting: str, host: str) -> None:
    if settings.tls.certificate_file is None and not settings.tls.plain_beyond_loopback:
        raise InvalidConfig(
            setting,
            f"{host!r} is not loopback, and there is no TLS: all that passes could be read and changed; set "
            "tls.certificate_file and tls.key_file, or use 127.0.0.1, or, where something else encrypts, set "
            "tls.plain_beyond_loopback=true",
        )


def _demand_keys(settings: Settings, setting: str, host: str) -> None:
    if settings.auth.mode == "off" and not settings.auth.open_beyond_loopback:
        raise InvalidConfig(
            setting,
            f"{host!r} is not loopback, and no API key is asked for: whoever reaches it may call; set "
            "auth.mode=keys (`thumbwheel keys create` makes keys), or use 127.0.0.1, or, where the network before it "
            "is closed to others, set auth.open_beyond_loopback=true",
        )


def own_key(settings: Settings) -> str:
    """Return the API key that this process's own calls bring; empty: none. Raises InvalidConfig."""
    if key := os.environ.get(KEY_VARIABLE, ""):
        return key
    path = settings.auth.api_key_file
    if path is None:
        return ""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig("auth.api_key_file", f"{path} can't be read; mend its path or its rights") from error


def grpc_hosts(settings: Settings) -> dict[str, str]:
    """Return where the gRPC doors are to listen, by setting."""
    return {"serve.host": settings.serve.host, "serve.admin_host": settings.serve.admin_host}


def probes_host(settings: Settings) -> dict[str, str]:
    """Return where the probes are to listen, by setting."""
    return {"probes.host": settings.probes.host}


def secret_files(settings: Settings) -> dict[str, Path]:
    """Return the files of keys that nobody else may read, by setting."""
    tls = settings.tls
    named = {
        "tls.key_file": tls.key_file,
        "tls.client_key_file": tls.client_key_file,
        "auth.api_key_file": settings.auth.api_key_file,
    }
    return {setting: path for setting, path in named.items() if path is not None}
