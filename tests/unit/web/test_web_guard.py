"""What the pages refuse, and what they say to browsers about themselves."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from demo_world import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seen_page import seen
from starlette.exceptions import HTTPException
from starlette.requests import Request

from thumbwheel.web.guard import host_name, is_local, read_bounded

ASK = {"policy": "topics", "text": "refund"}
POSTS = ["/ask/classify", "/ask/generate", "/votes", "/votes/take-back", "/operate/promote", "/operate/rollback"]
PATHS = ["/", "/operate", "/operate/panels", "/votes", "/healthz", "/metrics", "/static/base.css", "/nothing"]

# Bytes that are no JSON object in UTF-8: broken syntax, other types, numbers that are none, deep nesting.
GARBAGE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"12",
    b"{}}",
    b'{"a":1,}',
    b"{'a':1}",
    b'{"a":NaN}',
    b'{"a":-Infinity}',
    b'{"a":0x1}',
    b'{"a":"\x01"}',
    b'{"a":"\xff"}',
    b'{"a":"\\x"}',
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b'{"a":' * 200_000,
    b'{"a":1' + b"0" * 5_000 + b"}",
]


@pytest.mark.parametrize("path", PATHS)
def test_every_response_carries_the_security_headers(browser: Any, path: str) -> None:
    headers = browser.http.get(path).headers
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize("path", POSTS)
def test_a_post_without_the_csrf_token_is_refused(browser: Any, path: str) -> None:
    for token in ("", "wrong", b"\xfc"):
        response = browser.post(path, ASK, X_CSRF_Token=token)
        assert response.status_code == 403
        assert "Reload it" in response.json()["error"]["message"]


def test_another_visitors_csrf_token_is_refused(browser: Any) -> None:
    other = type(browser)(browser.url)
    other.open()
    assert browser.post("/ask/classify", ASK, X_CSRF_Token=other.csrf).status_code == 403
    other.http.close()


@pytest.mark.parametrize("path", POSTS)
def test_a_post_from_another_site_is_refused(browser: Any, path: str) -> None:
    for origin in ("https://evil.example", "null", "http://[", "http://127.0.0.1:1"):
        response = browser.post(path, ASK, Origin=origin)
        assert (response.status_code, response.json()["error"]["message"]) == (
            403,
            "This request came from another site.",
        )
    assert browser.post(path, ASK, Sec_Fetch_Site="cross-site").status_code == 403


@pytest.mark.parametrize("path", POSTS)
def test_levers_and_questions_are_post_only(browser: Any, path: str) -> None:
    response = browser.http.get(path)
    assert response.status_code == (200 if path == "/votes" else 405)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken(browser: Any, path: str, kind: str) -> None:
    assert browser.post(path, ASK, Content_Type=kind).status_code == 415


@pytest.mark.parametrize("path", POSTS)
def test_garbage_is_a_clients_mistake(browser: Any, path: str) -> None:
    for body in GARBAGE:
        assert browser.post(path, body).status_code == (413 if len(body) > 128_768 else 400), body[:40]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
FIELD_NAMES = ["policy", "text", "candidates", "response_id", "feedback_token", "thumb", "rating", "ranking", "edit"]
FIELD_NAMES += ["comment", "reasons", "kind", "version", "reason", "actor"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(POSTS),
    body=st.dictionaries(st.sampled_from(FIELD_NAMES) | st.text(max_size=5), json_values, max_size=6),
)
def test_no_json_object_breaks_a_route(browser: Any, path: str, body: dict[str, Any]) -> None:
    assert browser.post(path, body).status_code < 500


def test_a_giant_body_is_refused(browser: Any) -> None:
    body = json.dumps({**ASK, "text": "x" * (128 << 10)}).encode()
    response = browser.post("/ask/classify", body)
    assert response.status_code == 413
    assert "128,768 bytes at most" in response.json()["error"]["message"]


def test_the_longest_text_fits_however_it_is_written(browser: Any) -> None:
    longest = {"policy": "helpdesk", "text": "\u00e9" * 16_000, "candidates": 1}
    body = json.dumps(longest, ensure_ascii=True).encode()
    assert len(body) > 96_000
    assert browser.post("/ask/generate", body).status_code == 200


async def test_an_endless_body_is_not_read_for_ever() -> None:
    chunks = 0

    async def endless() -> dict[str, Any]:
        nonlocal chunks
        chunks += 1
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}

    with pytest.raises(HTTPException, match="1,000 bytes at most") as refused:
        await read_bounded(Request({"type": "http"}, endless), 1_000)
    # 4 MiB are thrown away, so that a sender of a little too much learns why; the fifth is too much.
    assert (refused.value.status_code, chunks) == (413, 5)


def test_a_body_that_never_ends_times_out(browser: Any) -> None:
    address = urlsplit(browser.url)
    head = (
        f"POST /ask/classify HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        f"X-CSRF-Token: {browser.csrf}\r\nCookie: thumbwheel_visitor={browser.http.cookies['thumbwheel_visitor']}\r\n"
        "Content-Length: 100\r\n\r\n{"
    )
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(200).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7072", "127.0.0.1.evil.example", "", "[::2]:80"])
def test_a_foreign_host_name_is_refused(browser: Any, host: str) -> None:
    for path in ("/", "/operate", "/votes"):
        assert browser.http.get(path, headers={"Host": host}).status_code in (400, 421)


def test_probes_answer_under_any_host_name(browser: Any) -> None:
    for path in ("/healthz", "/metrics"):
        assert browser.http.get(path, headers={"Host": "10.0.0.7:7072"}).status_code == 200


def test_a_proxied_request_is_not_local(browser: Any) -> None:
    for header in ("Forwarded", "X-Forwarded-For", "X-Real-IP"):
        response = browser.http.get("/operate", headers={header: "127.0.0.1"})
        assert response.status_code == 403
        assert "on this machine only" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("peer", "host", "local"),
    [
        ("127.0.0.1", "localhost:7072", True),
        ("::1", "[::1]:7072", True),
        ("10.0.0.9", "localhost", False),
        ("127.0.0.1", "pages.example", False),
        ("unix", "localhost", False),
    ],
)
def test_who_is_local(peer: str, host: str, local: bool) -> None:
    scope = {"type": "http", "client": (peer, 1), "headers": [(b"host", host.encode())]}
    assert is_local(Request(scope)) is local


def test_a_host_is_read_without_its_port() -> None:
    def name(host: str) -> str:
        return host_name(Request({"type": "http", "headers": [(b"host", host.encode())]}))

    assert [name("A.example:80"), name("[::1]:80"), name("[::1"), name("")] == ["a.example", "[::1]", "[::1]", ""]


def test_user_text_is_escaped_wherever_it_is_shown(browser: Any, world: World) -> None:
    script = "<script>alert(1)</script>"
    world.runs[0].summary.summary = script
    world.runs[0].gates[0].sentence = f'"{script}'
    world.history[0].reason = script
    world.history[0].actor = f"'{script}"
    page = browser.open("/operate").text
    assert script not in page
    assert seen(page).text.count(script) == 4


def test_json_inside_of_the_page_can_not_end_its_element(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo_inference.LABELS", ("</script><script>alert(1)</script>",))
    page = browser.open().text
    assert "<script>alert(1)" not in page
    assert "\\u003cscript\\u003ealert(1)" in page


def test_people_get_a_page_for_an_error_and_scripts_get_json(browser: Any) -> None:
    page = browser.open("/nothing")
    assert page.status_code == 404
    assert "There is nothing at this address." in page.text
    assert len(seen(page.text).by_role("heading")) == 1
    assert browser.http.get("/nothing").json() == {"error": {"message": "There is nothing at this address."}}


def test_a_defect_shows_an_id_and_nothing_else(browser: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rater: str, limit: int) -> list[Any]:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(world, "votes_of", broken)
    response = browser.http.get("/votes")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert len(response.json()["error"]["correlation_id"]) == 16
    assert "default-src 'none'" in response.headers["content-security-policy"]
