"""What every call is asked before it is answered: which API key it brings, and whether that is good for this."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from thumbwheel.access.api_keys import BAD_KEY, Presented, presented, verifies
from thumbwheel.access.buckets import Buckets
from thumbwheel.access.caller import Caller
from thumbwheel.access.ring import KeyRing
from thumbwheel.errors import KeyRefused, Overloaded, ScopeMissing, Unavailable
from thumbwheel.records import ApiKey, Scope

_REMEMBERED = 10_000
_WRONG_PER_MINUTE = 10
_WAITING = 32
_AGAIN_S = 0.2
_PATIENCE_S = 1.0
_INNER = Caller("", frozenset(Scope))


def _now_us() -> int:
    return time.time_ns() // 1_000


class Guard:
    """Admits calls by their API key. Used from one event loop.

    The memory-hard hash is computed once for a key that comes along, on a thread, one at a time. Then a plain keyed
    hash of the whole key, under a secret of this process that is written nowhere, knows it again: the key's 256 random
    bits are no passphrase that could be guessed from that. Whether it is revoked or expired is looked at in every call,
    in what was read of the store half a second ago at most. A wrong secret is hashed ten times a minute for a key id,
    then refused unseen, so that guessing costs the service little.
    """

    def __init__(self, ring: KeyRing, calls_per_minute: int = 0, now_us: Callable[[], int] = _now_us) -> None:
        """Admit the keys of `ring`, each at most `calls_per_minute` times a minute; 0: as often as it likes."""
        self._ring = ring
        self._now_us = now_us
        self._pepper = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, str] = OrderedDict()  # hash of a key that was verified -> by which verifier
        self._hashing = asyncio.Semaphore(1)
        self._waiting = 0
        self._wrong = Buckets(_WRONG_PER_MINUTE, BAD_KEY)
        self._pace = Buckets(calls_per_minute, _too_many(calls_per_minute)) if calls_per_minute else None
        self._asked_again = 0.0
        # The process's own pages call its own doors by a key that nobody else ever sees.
        self.inner_key = f"tw_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"
        self._inner = self._fingerprint(f"Bearer {self.inner_key}")

    async def admit(self, header: str | None, *scopes: Scope) -> Caller:
        """Return who calls, by the header `authorization`, for what takes all of `scopes`.

        Raises:
            KeyRefused: there is no key, or none that is good.
            ScopeMissing: the key is not good for this.
            Overloaded: it was used too often, or too many new keys come at once.
            Unavailable: the database is away, and the key was not seen before, or too long ago.
        """
        fingerprint = self._fingerprint(header or "")
        if hmac.compare_digest(fingerprint, self._inner):
            return _INNER
        shown = presented(header)
        key = self._ring.find(shown.key_id) or await self._looked_again(shown)
        if self._known.get(fingerprint) != key.verifier:
            await self._verify(shown, key)
            self._remember(fingerprint, key)
        now_us = self._now_us()
        if not key.is_good(now_us):
            raise KeyRefused(BAD_KEY)
        if missing := [scope for scope in scopes if scope not in key.scopes]:
            raise ScopeMissing(_not_for(key, missing[0]))
        if self._pace is not None:
            self._pace.take(key.key_id)
        self._ring.note_use(key.key_id, now_us)
        return Caller(key.name, frozenset(key.scopes))

    def _fingerprint(self, header: str) -> bytes:
        return hashlib.blake2b(header.encode(errors="replace"), key=self._pepper, digest_size=32).digest()

    async def _looked_again(self, shown: Presented) -> ApiKey:
        """Read the keys once more for one that is not among them: it may have been made just now."""
        if time.monotonic() - self._asked_again >= _AGAIN_S:
            self._asked_again = time.monotonic()
            with suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(_PATIENCE_S):
                    await asyncio.to_thread(self._ring.refresh)
        key = self._ring.find(shown.key_id)
        if key is None and not self._ring.is_fresh:
            raise Unavailable("the database is away, and whether the API key is good can't be seen", 1.0)
        if key is None:
            raise KeyRefused(BAD_KEY)
        return key

    async def _verify(self, shown: Presented, key: ApiKey) -> None:
        """Raise KeyRefused unless the secret is the key's."""
        if not key.is_good(self._now_us()):
            raise KeyRefused(BAD_KEY)  # without the work
        if self._waiting >= _WAITING:
            raise Overloaded("authorization: too many API keys are seen for the first time; try again", 1.0)
        self._waiting += 1
        try:
            async with self._hashing:
                self._demand_few_wrong(key)
                right = await asyncio.to_thread(verifies, shown.secret, key.verifier)
        finally:
            self._waiting -= 1
        if not right:
            raise KeyRefused(BAD_KEY)
        self._wrong.give_back(key.key_id)

    def _demand_few_wrong(self, key: ApiKey) -> None:
        try:
            self._wrong.take(key.key_id)
        except Overloaded as error:
            raise KeyRefused(BAD_KEY) from error

    def _remember(self, fingerprint: bytes, key: ApiKey) -> None:
        self._known[fingerprint] = key.verifier
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _too_many(per_minute: int) -> str:
    return (
        f"authorization: more than {per_minute:,} calls a minute by this API key (auth.calls_per_key_per_minute); wait "
        "and call more slowly"
    )


def _not_for(key: ApiKey, scope: Scope) -> str:
    return (
        f"authorization: the API key is good for {', '.join(key.scopes)}, and this takes the scope {scope}; ask who "
        f"runs the service for a key with it"
    )
