"""The S3 client, with an end to its patience."""

from __future__ import annotations

import asyncio
from typing import Any

from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem

TRIES = 2  # of s3fs, each of as many of botocore's
_SENDING_S = 16.0  # what a call may take for its bytes, 16 MiB at most, besides waiting for answers


class PatientS3(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
    """`S3FileSystem` whose every call ends.

    Its timeouts begin when all is sent. Where nobody takes what is sent (a gateway that is stopped, a network that
    drops packets) it would wait for ever.
    """

    retries = TRIES

    async def _call_s3(self, method: str, *arguments: Any, **fields: Any) -> Any:
        answer_s: float = self.config_kwargs["read_timeout"]
        deadline_s = answer_s * TRIES * TRIES + _SENDING_S
        return await asyncio.wait_for(super()._call_s3(method, *arguments, **fields), deadline_s)

    call_s3 = sync_wrapper(_call_s3)  # which files call; the inherited one would go past the method above


def options(endpoint_url: str, timeout_s: float) -> dict[str, Any]:
    """What to open a client with: where it is, and for how many seconds to wait for a connection or an answer."""
    patience = {"connect_timeout": timeout_s, "read_timeout": timeout_s}
    retries = {"mode": "standard", "total_max_attempts": TRIES}
    return {"endpoint_url": endpoint_url or None, "config_kwargs": {**patience, "retries": retries}}
