"""Where versions live: what may be said in the settings, and that no credentials are."""

from __future__ import annotations

import pytest

from thumbwheel.config.load import load_settings
from thumbwheel.errors import InvalidConfig


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("", ""),
        ("s3://bucket/some/prefix/", "s3://bucket/some/prefix"),
        ("s3://bucket", "s3://bucket"),
        ("file:///shared/versions", "file:///shared/versions"),
        ("abfs://container@account.dfs.core.windows.net/x", "abfs://container@account.dfs.core.windows.net/x"),
    ],
)
def test_a_place_is_taken(url: str, taken: str) -> None:
    assert load_settings(None, {"artifacts.url": url}).settings.artifacts.url == taken


@pytest.mark.parametrize(
    ("field", "url", "problem"),
    [
        ("url", "s3://key:s3cret@bucket/prefix", "without credentials"),
        ("url", "s3://bucket/prefix?secret=s3cret", "without credentials"),
        ("url", "s3://bucket/prefix#s3cret", "without credentials"),
        ("url", "/s3cret", "SCHEME://PLACE"),
        ("url", "s3:s3cret", "SCHEME://PLACE"),
        ("url", "s3:///s3cret", "must name a bucket"),
        ("url", "simplecache::s3://s3cret", "must name a bucket"),
        ("url", "file://s3cret/versions", "whole path"),
        ("url", "file:///", "whole path"),
        ("endpoint_url", "https://key:s3cret@host", "without credentials"),
        ("endpoint_url", "https://host?s3cret", "without credentials"),
        ("endpoint_url", "s3cret:9000", "must be https://HOST:PORT"),
    ],
)
def test_another_is_refused_by_name_and_not_quoted(field: str, url: str, problem: str) -> None:
    with pytest.raises(InvalidConfig, match=rf"artifacts\.{field}: .*{problem}") as refused:
        load_settings(None, {f"artifacts.{field}": url})
    assert "s3cret" not in str(refused.value)
