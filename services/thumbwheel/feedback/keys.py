"""The service's secret keys: one file of mode 600, the same for all processes that make one service.

    {"token_keys": [{"id": "9f3c11ab", "secret": "...", "created_us": 1}], "user_key": "..."}

The last token key signs; the earlier ones still verify what they signed, until it expires. The user key turns
user ids into pseudonyms and never changes: with another one, nobody's votes could be found again.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thumbwheel.durable import sync
from thumbwheel.errors import InvalidConfig

_SECRET_BYTES = 32
_ID_BYTES = 4
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key for feedback tokens. `key_id` is 8 hexadecimal digits and stands in every token it signed."""

    key_id: str
    secret: bytes = field(repr=False)
    created_us: int


@dataclass(frozen=True, slots=True)
class Keys:
    """All secret keys of a service. `token_keys` are in order of age; the last one is active."""

    token_keys: tuple[TokenKey, ...]
    user_key: bytes = field(repr=False)

    @property
    def active(self) -> TokenKey:
        """The key that signs."""
        return self.token_keys[-1]


def load_or_make_keys(path: Path, now_us: int) -> Keys:
    """Read the key file, or make it with fresh keys, atomically: of two starters one wins and both use it.

    Raises InvalidConfig when others may read the file, when it is not a key file, or when it can't be written.
    """
    if not path.exists():
        _create(path, Keys((_new_token_key(now_us),), secrets.token_bytes(_SECRET_BYTES)))
    return load_keys(path)


def load_keys(path: Path) -> Keys:
    """Read a key file. Raises InvalidConfig when it is absent, readable by others, or not a key file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        cure = (
            "restore it, or copy the service's there (`up` made keys.json in its home): every process has the same. "
            "Only for a new service `thumbwheel keys create` makes one: with other keys no token given before is good "
            "for a vote"
        )
        raise InvalidConfig(str(path), f"there is no key file; {cure}") from error
    except OSError as error:
        raise InvalidConfig(str(path), f"the key file can't be read ({error.strerror})") from error
    with os.fdopen(descriptor, "rb") as file:
        _demand_private(path, os.fstat(file.fileno()))
        return _decode(path, file.read())


def rotate_token_key(path: Path, now_us: int, ttl_s: float) -> Keys:
    """Put a new active token key into the file; drop those that can have no unexpired token any more.

    A running service goes on with the keys it read at its start.
    """
    keys = load_keys(path)
    ages = zip(keys.token_keys, keys.token_keys[1:], strict=False)
    alive = tuple(old for old, successor in ages if successor.created_us + ttl_s * 1e6 > now_us)
    rotated = Keys((*alive, keys.active, _new_token_key(now_us)), keys.user_key)
    with _written_beside(path, rotated) as temporary:
        temporary.replace(path)
    return rotated


def _new_token_key(now_us: int) -> TokenKey:
    return TokenKey(secrets.token_hex(_ID_BYTES), secrets.token_bytes(_SECRET_BYTES), now_us)


def _create(path: Path, keys: Keys) -> None:
    # A link fails when the name exists, a rename would overwrite the other starter's keys.
    with _written_beside(path, keys) as temporary, suppress(FileExistsError):
        path.hardlink_to(temporary)


@contextmanager
def _written_beside(path: Path, keys: Keys) -> Iterator[Path]:
    """Yield a private file with the keys, durable, in the folder of `path`. Raises InvalidConfig."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(temporary, _encode(keys))
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        cure = "free some space, or make the folder writable"
        raise InvalidConfig(str(path), f"the key file can't be written ({error.strerror}); {cure}") from error


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), _MODE)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _demand_private(path: Path, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise InvalidConfig(
            str(path), f"others may read the secret keys (mode {mode:o}, at most 600 is allowed); run: chmod 600 {path}"
        )


def _encode(keys: Keys) -> bytes:
    token_keys = [
        {"id": key.key_id, "secret": _to_text(key.secret), "created_us": key.created_us} for key in keys.token_keys
    ]
    return json.dumps({"token_keys": token_keys, "user_key": _to_text(keys.user_key)}, indent=1).encode()


def _decode(path: Path, data: bytes) -> Keys:
    try:
        content = json.loads(data)
        token_keys = tuple(_token_key(entry) for entry in content["token_keys"])
        keys = Keys(token_keys, _from_text(content["user_key"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidConfig(str(path), "not a key file; restore it from a backup") from error
    if not keys.token_keys:
        raise InvalidConfig(str(path), "has no token key; restore it from a backup")
    return keys


def _token_key(entry: dict[str, Any]) -> TokenKey:
    key_id = str(entry["id"])
    if len(bytes.fromhex(key_id)) != _ID_BYTES:
        raise ValueError("key id")
    return TokenKey(key_id, _from_text(entry["secret"]), int(entry["created_us"]))


def _to_text(secret: bytes) -> str:
    return base64.b64encode(secret).decode()


def _from_text(text: str) -> bytes:
    try:
        secret = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("base64") from error
    if len(secret) < _SECRET_BYTES:
        raise ValueError("short secret")
    return secret
