"""Checks of certificates and of who may call: what would keep a process from starting, and what will before long."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from thumbwheel.app.finding import Finding, tried
from thumbwheel.app.trust import calls_tls, demand_guarded, door_files, grpc_hosts, own_key, probes_host
from thumbwheel.config.settings import Settings
from thumbwheel.tls.certificates import PemFile, earliest_end, read_door
from thumbwheel.tls.following import utc_now

_SOON = dt.timedelta(days=14)


def examine_trust(settings: Settings) -> Iterator[Finding]:
    """Check the doors' certificates, when they expire, and whether a door would be open to others."""
    yield tried("doors", lambda: _doors(settings))
    if files := door_files(settings):
        certificate = tried("tls", lambda: f"for {', '.join(read_door(files, utc_now()).names) or 'no name at all'}")
        yield certificate
        if certificate.ok:
            yield from (_expiry(file) for file in (files.certificate, files.client_ca) if file)
    yield from _own_calls(settings)


def _doors(settings: Settings) -> str:
    # Before Ray's doors the network is closed, as its operator said.
    hosts = {} if settings.ray.trusted_network else {**grpc_hosts(settings), **probes_host(settings)}
    demand_guarded(settings, hosts)
    tls = "TLS" if settings.tls.certificate_file else "plain text"
    asked = "API keys are asked for" if settings.auth.mode == "keys" else "no key is asked for"
    return f"{tls}, {asked}"


def _own_calls(settings: Settings) -> Iterator[Finding]:
    tls = settings.tls
    if tls.calls_by_tls:
        address = settings.web.address or f"{settings.serve.host}:{settings.serve.port}"
        calls = tried("calls by tls", lambda: _named(settings, address))
        yield calls
        named = {"tls.ca_file": tls.ca_file, "tls.client_certificate_file": tls.client_certificate_file}
        yield from (_expiry(PemFile(setting, path)) for setting, path in named.items() if path and calls.ok)
    if settings.auth.api_key_file:
        yield tried("api key", lambda: "is there" if own_key(settings) else "is empty")


def _named(settings: Settings, address: str) -> str:
    given = calls_tls(settings, address)
    assert given is not None  # they go by TLS
    return f"to a door that is {given.server_name or address.rpartition(':')[0]}"


def _expiry(file: PemFile) -> Finding:
    ends = earliest_end(file)
    left = ends - utc_now()
    found = f"{file.setting}: {file.path} expires on {ends:%Y-%m-%d %H:%M} UTC, in {left.days} days"
    if left < dt.timedelta():
        found = f"{file.setting}: one in {file.path} expired on {ends:%Y-%m-%d %H:%M} UTC"
    cure = "renew it: a process takes up the new file by itself" if left < _SOON else ""
    return Finding("certificate", True, found, cure, warning=bool(cure))
