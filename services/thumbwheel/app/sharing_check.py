"""Checks for processes that run apart: what they would not share, and whether the door behind the pages answers."""

from __future__ import annotations

from collections.abc import Iterator

from thumbwheel.app.finding import Finding, tried
from thumbwheel.app.trust import calls_tls, own_key
from thumbwheel.client import Client
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.config.settings import Settings

_DOOR_S = 3.0


def examine_sharing(settings: Settings) -> Iterator[Finding]:
    """Check what only processes that run apart need: nothing where the log is embedded, for then there are none."""
    if settings.log.is_shared:
        yield _shared(settings)
    if settings.web.address:
        yield tried("serve", lambda: _door(settings))


def _shared(settings: Settings) -> Finding:
    """What is in this home, so that processes with another home have something else, or nothing: `up` bears that."""
    elsewhere = {
        "the store (database.url)": settings.database.url,
        "versions and reports (artifacts.url)": settings.artifacts.url,
        "keys (feedback.keys_file)": settings.feedback.keys_file,
    }
    here = [what for what, place in elsewhere.items() if not place]
    if here:
        return Finding("shared", True, f"only processes on this home have {', '.join(here)}")
    return Finding("shared", True, "all that processes on other homes and machines need is outside of this home")


def _door(settings: Settings) -> str:
    address, once = settings.web.address, RetryPolicy(attempts=1)
    with Client(
        address, retry=once, timeout_s=_DOOR_S, tls=calls_tls(settings, address), api_key=own_key(settings)
    ) as client:
        served = [one for one in client.describe() if one.served]
    return f"answers at {address}, {len(served)} policies served"
