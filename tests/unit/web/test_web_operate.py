"""The operator's page, its levers, and the runs' reports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demo_facts import HELPDESK, gate, now_us, trial_of
from demo_world import World
from seen_page import Element, seen

from thumbwheel.admin.v1 import admin_pb2 as adm
from thumbwheel.errors import DamagedArtifact, Unavailable, UnknownRun
from thumbwheel.web.report import find_report


@pytest.fixture
def run_folder(runs_dir: Path) -> Iterator[Path]:
    folder = runs_dir / "run-0001"
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.html"
    report.write_text("<!doctype html><title>Run</title><style>p{color:red}</style><p>Better.</p>")
    (runs_dir.parent / "keys.json").write_text("secret")
    yield folder
    report.unlink(missing_ok=True)


def opened(browser: Any, path: str = "/operate") -> Element:
    return seen(browser.open(path).text)


def order(**changes: Any) -> dict[str, Any]:
    return {"policy": "helpdesk", "version": "v3", "reason": "looks better to me", "actor": "Ada", **changes}


def test_the_page_shows_versions_runs_gates_and_audit_trail(browser: Any) -> None:
    page = opened(browser)
    for shown in ("71.2\u202f%", "66.1\u202f%–75.9\u202f%, n = 320", "312 of 1,000"):
        assert shown in page.text
    charts = [one.name.split(" ")[0] for one in page.by_role("img")]
    assert charts == ["75.0\u202f%", "71.2\u202f%", "50.2\u202f%"]
    orders = [one.name for one in page.by_role("button")]
    assert orders[:3] == ["Roll back", "Promote v3", "Promote v1"]
    items = [one.text for one in page.by_role("listitem")]
    assert items[:2] == [
        "data sanity passed: No rater gave more than 4\u202f% of the votes. 0.04, threshold 0.2",
        "held-out reward failed: Reward over the champion's. 0.02 (−0.03 to 0.07), threshold 0",
    ]
    assert len(items) == 3 + 3 + 2  # the gates of two runs, and the audit trail
    assert items[6].startswith("champion v1 → v2 by retrain, ") and items[6].endswith(" run-0001: every gate passed")


def test_each_policy_has_a_page_of_its_own(browser: Any) -> None:
    page = opened(browser, "/operate?policy=topics")
    assert "No run yet." in page.text
    [tabs] = [one for one in page.by_role("navigation") if one.name == "Policies"]
    assert [one.name for one in tabs.by_role("link") if "aria-current" in one.attributes] == ["topics classify"]
    [main] = page.by_role("main")
    assert main.attributes["data-policy"] == "topics"  # by which the script asks for news


def test_an_unknown_policy_is_named_with_those_that_exist(browser: Any) -> None:
    response = browser.http.get("/operate/panels?policy=nothing")
    assert response.status_code == 404
    assert "there are: helpdesk, topics" in response.json()["error"]["message"]


def test_a_service_without_a_policy_still_has_a_page(browser: Any, world: World) -> None:
    world.versions.clear()
    world.status.ClearField("policies")
    page = browser.open("/operate")
    assert page.status_code == 200
    assert "No version yet" in page.text


def test_a_champion_that_is_not_served_stands_out(browser: Any, world: World) -> None:
    problem = "helpdesk v2: <model> was altered; v1 is served instead"
    assert not any(one.text for one in opened(browser).by_role("status"))
    world.status.policies[0].problem = problem
    assert problem in [one.text for one in opened(browser).by_role("status")]


def test_votes_that_teach_nothing_are_told_apart(browser: Any, world: World) -> None:
    world.status.policies[0].new_other_votes = 77
    page = opened(browser).text
    assert "312 of 1,000" in page
    assert "77 more of kinds that its runs do not learn from" in page


def test_the_audit_trail_has_runs_and_erasures(browser: Any, world: World) -> None:
    run = adm.AuditEntry(time_unix_us=1, policy="helpdesk", actor="schedule", reason="1,000 new votes")
    run.action, run.subject = "run started", "run-0004"
    world.history.insert(0, run)
    assert "run started run-0004 by schedule" in opened(browser).text


def test_promoting_the_champion_says_that_nothing_moved(browser: Any) -> None:
    change = browser.post("/operate/promote", order(version="v2")).json()
    assert (change["previous"], change["version"]) == ("v2", "v2")


def test_a_service_that_is_away_is_said(browser: Any, world: World) -> None:
    world.failures["Status"] = Unavailable("the service restarts", 0.01)
    assert browser.http.get("/operate/panels").status_code == 503


def test_a_running_run_and_dead_letters_show(browser: Any, world: World) -> None:
    world.status.dead_letters = 3
    world.status.policies[0].running_run_id = "run-0003"
    page = opened(browser, "/operate/panels")
    assert "3 dead letters" in page.text
    assert "Next run now run-0003" in page.text
    world.status.policies[0].running_step = "improve"
    world.status.policies[0].running_progress = 0.4256
    page = opened(browser, "/operate/panels")
    [progress] = [one for one in page.by_role("progressbar") if one.name == "Progress of this step"]
    assert (progress.attributes["value"], progress.attributes["max"]) == ("0.426", "1")
    assert "improve · run-0003" in page.text


def test_the_last_swap_says_how_long_it_took(browser: Any, world: World) -> None:
    assert "swapped in" not in browser.open("/operate/panels").text
    world.status.policies[0].last_swap_version = "v2"
    world.status.policies[0].last_swap_duration_s = 1.26
    assert "helpdesk · swapped in 1.3 s" in browser.open("/operate/panels").text


def test_a_gate_is_called_what_the_report_and_the_commands_call_it(browser: Any, world: World) -> None:
    world.runs[0].gates.extend([gate("off_policy_snips", True, 0.07836, 0.0, "Earns more.", 0.073729)])
    world.runs[0].gates.extend([gate("rater_concentration", True, 0.0165, 0.2, "Many.")])
    items = [one.text for one in opened(browser).by_role("listitem")]
    assert (
        "Earns more (SNIPS) off_policy_snips passed: Earns more. 0.0784 (0.00463 to 0.152), lower bound above 0 reward"
    ) in items
    assert "No rater dominates rater_concentration passed: Many. 1.65\u202f%, at most 20\u202f% of votes" in items


def test_a_gate_without_an_interval_shows_none(browser: Any, world: World) -> None:
    del world.runs[0].gates[:]
    world.runs[0].gates.extend([gate("latency", True, 1.234567, 1.5, "Not slower.")])
    assert "1.23, at most 1.5 x the champion" in browser.open("/operate/panels").text


def test_promoting_moves_the_champion_and_leaves_who_and_why(browser: Any, world: World) -> None:
    response = browser.post("/operate/promote", order())
    assert response.status_code == 200
    assert response.json() == {"policy": "helpdesk", "channel": "champion", "previous": "v2", "version": "v3"}
    assert world.champion("helpdesk") == "v3"
    assert (world.history[0].actor, world.history[0].reason) == ("Ada", "looks better to me")
    assert "looks better to me" in browser.open("/operate/panels").text


def test_rolling_back_returns_to_the_champion_before(browser: Any, world: World) -> None:
    body = {key: value for key, value in order().items() if key != "version"}
    assert browser.post("/operate/rollback", body).json()["version"] == "v1"
    assert world.champion("helpdesk") == "v1"
    refused = browser.post("/operate/rollback", body)
    assert refused.status_code == 409
    assert "no earlier champion" in refused.json()["error"]["message"]


@pytest.mark.parametrize(("lever", "call"), [("promote", "Promote"), ("rollback", "Rollback")])
def test_a_damaged_version_is_no_fault_of_the_page(browser: Any, world: World, lever: str, call: str) -> None:
    world.failures[call] = DamagedArtifact("helpdesk v1: config.json was altered; restore its folder")
    body = {key: value for key, value in order().items() if key != "version" or lever == "promote"}
    response = browser.post(f"/operate/{lever}", body)
    assert response.status_code == 409
    assert response.json()["error"]["message"] == "helpdesk v1: config.json was altered; restore its folder"


def test_the_way_back_is_named_and_offered_only_where_there_is_one(browser: Any, world: World) -> None:
    page = opened(browser)
    [lever] = [one for one in page.by_role("button") if one.name == "Roll back"]
    assert "disabled" not in lever.attributes
    assert lever.attributes["data-target"] == "v1"
    assert "Roll back returns to v1" in page.text
    world.champions["helpdesk"] = ["v1"]
    page = opened(browser)
    [lever] = [one for one in page.by_role("button") if one.name == "Roll back"]
    assert "disabled" in lever.attributes
    assert "v1 is the first champion: there is none to return to" in page.text


def tried(world: World, kind: str = "canary") -> adm.Trial:
    """Let a trial run; return it, for a test to end."""
    versions = ("v3", "v2") if kind == "canary" else ("v2", "v1")
    trial = world.status.policies[0].trial
    trial.CopyFrom(trial_of(HELPDESK, kind, *versions))
    return trial


def test_a_running_canary_has_a_panel_of_its_own(browser: Any, world: World) -> None:
    tried(world)
    page = opened(browser)
    assert "On trial: canary v3 against v2 running v3 has answered 10.0\u202f% of the users since" in page.text
    assert "at the latest: still undecided, v3 is given up." in page.text
    assert "v3 canary 50\u202f% 27.3\u202f% of 55 users v2 champion 50\u202f% 54.3\u202f% of 81 users" in page.text
    assert "Difference: −27.0 percentage points (−55.9 to +6.6, with 95.0\u202f% confidence at every look)" in page.text
    assert " Undecided. Evidence Worse by more than 5 points 7.5 to 1 No worse than by 5 points 0.02 to 1" in page.text
    assert "failures 0.0\u202f% of requests failed, 0.1\u202f% before" in page.text
    assert "It decides from 20 to 1 on, when 20 users have voted on each version." in page.text
    assert "Roll back returns to v1 and ends the trial of v3" in page.text
    [tile] = [one for one in page.by_role("heading") if one.text == "Champion"]
    assert tile.parent is not None and "trial" not in tile.parent.text.replace("ends the trial of v3", "")


def test_a_watched_champion_is_shown_with_what_ends_the_watch(browser: Any, world: World) -> None:
    tried(world, "watch")
    page = opened(browser)
    assert "On trial: new champion v2 against v1 running v2 has been champion since" in page.text
    assert "at the latest, or when 1,000 users have voted on v2." in page.text
    assert (
        "v2 new champion 50\u202f% 27.3\u202f% of 55 users v1 champion before 50\u202f% 54.3\u202f% of 81 users"
        in page.text
    )
    assert "Stop watching" in [one.name for one in page.by_role("button")]


def test_a_trial_that_nobody_has_looked_at_yet_is_shown(browser: Any, world: World) -> None:
    trial = tried(world)
    trial.ClearField("evidence")
    trial.ClearField("sentence")
    trial.up = trial.down = trial.control_up = trial.control_down = 0
    page = opened(browser)
    assert "v3 canary no user has voted yet v2 champion no user has voted yet Nobody has looked at it yet." in page.text


def test_a_rate_is_drawn_whole_at_both_ends(browser: Any, world: World) -> None:
    world.versions[HELPDESK][0].votes.thumbs_up = world.versions[HELPDESK][1].votes.thumbs_down = 0
    markup = browser.open("/operate").text
    [(left, width)] = {(float(x), float(w)) for x, w in re.findall(r'rate-chart" viewBox="(\S+) 0 (\d+) 26"', markup)}
    dots = [(float(at), float(r)) for at, r in re.findall(r'<circle cx="(\S+)" cy="8" r="(\d+)"', markup)]
    assert {at for at, _ in dots} >= {2.0, 102.0}
    assert all(left <= at - r and at + r <= left + width for at, r in dots)


def test_a_past_trial_stands_in_the_past_until_the_champion_moves(browser: Any, world: World) -> None:
    trial = tried(world)
    trial.state, trial.ended_unix_us = "given up", now_us()
    page = opened(browser)
    assert "Last trial: canary v3 against v2 given up It began" in page.text
    assert "Roll back returns to v1 Thumbs up" in page.text
    assert "Stop the canary" not in [one.name for one in page.by_role("button")]
    browser.post("/operate/promote", order())
    page = opened(browser)
    assert "trial" not in page.text


def test_a_shadow_is_told(browser: Any, world: World) -> None:
    assert "shadow" not in opened(browser).text
    world.status.policies[0].shadow = "v3"
    assert "Shadow v3 answers as a shadow: what users ask, unseen." in opened(browser).text
    tried(world)
    assert "v3 answers as a shadow" in opened(browser).text


def test_a_canary_is_stopped_with_a_reason(browser: Any, world: World) -> None:
    tried(world)
    body = {key: value for key, value in order().items() if key != "version"}
    assert browser.post("/operate/stop", {**body, "reason": ""}).status_code == 422
    stopped = browser.post("/operate/stop", body).json()
    assert (stopped["state"], stopped["version"]) == ("stopped", "v3")
    assert "Stopped by Ada: looks better to me" in opened(browser).text
    assert browser.post("/operate/stop", body).status_code == 409
    assert browser.post("/operate/stop", body, X_Forwarded_For="127.0.0.1").status_code == 403


@pytest.mark.parametrize(
    ("state", "candidate", "gates", "title"),
    [
        ("promoted", "v3", 3, "v2 → v3"),
        ("rejected", "", 3, "v2 → candidate: refused"),
        ("rejected", "v3", 3, "v2 → v3: not promoted"),
        ("rejected", "", 0, "v2 → no candidate"),
        ("failed", "", 0, "v2 → candidate"),
        ("running", "", 0, "v2 → candidate · judge"),
    ],
)
def test_a_run_is_headed_by_where_it_led(
    browser: Any, world: World, state: str, candidate: str, gates: int, title: str
) -> None:
    run = world.runs[0]
    run.summary.state, run.summary.candidate_version = state, candidate
    del run.gates[gates:]
    assert f"Last runs {state} {title} 2" in opened(browser).text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": None}, "reason"),
        ({"actor": ""}, "actor"),
        ({"actor": "x" * 101}, "actor"),
        ({"version": ""}, "version"),
        ({"policy": 1}, "policy"),
        ({"force": True}, ""),
    ],
)
def test_a_wrong_order_moves_nothing(browser: Any, world: World, changes: dict[str, Any], field: str) -> None:
    response = browser.post("/operate/promote", order(**changes))
    assert response.status_code == 422
    assert response.json()["error"]["field"] == field
    assert world.champion("helpdesk") == "v2"


def test_promoting_what_does_not_exist_is_explained(browser: Any) -> None:
    response = browser.post("/operate/promote", order(version="v9"))
    assert response.status_code == 404
    assert "has no version 'v9'" in response.json()["error"]["message"]


def test_an_order_by_proxy_is_refused(browser: Any, world: World) -> None:
    assert browser.post("/operate/promote", order(), X_Forwarded_For="127.0.0.1").status_code == 403
    assert world.champion("helpdesk") == "v2"


def test_the_report_comes_without_scripts_and_without_our_origin(browser: Any, run_folder: Path) -> None:
    response = browser.http.get("/operate/runs/run-0001/report.html")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "sandbox" in response.headers["content-security-policy"]
    assert "script-src" not in response.headers["content-security-policy"]
    assert "Better." in response.text


@pytest.mark.parametrize(
    "path",
    [
        "/operate/runs/run-0009/report.html",
        "/operate/runs/../report.html",
        "/operate/runs/%2e%2e/report.html",
        "/operate/runs/..%2f..%2fkeys.json/report.html",
        "/operate/runs/run-0001/..%2f..%2f..%2fkeys.json",
        "/operate/runs/run-0001/keys.json",
        "/operate/runs/%00/report.html",
        "/operate/runs//report.html",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
    ],
)
def test_nothing_else_can_be_read(browser: Any, run_folder: Path, path: str) -> None:
    assert browser.http.get(path).status_code == 404


def test_the_report_of_a_run_made_elsewhere_comes_from_where_it_is_kept(
    browser: Any, switch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/operate/runs/run-0007/report.html"
    assert browser.http.get(path).status_code == 404
    monkeypatch.setattr(switch, "kept", {"run-0007": b"<html>kept", "..": b"secret"})
    response = browser.http.get(path)
    assert (response.status_code, response.text) == (200, "<html>kept")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "sandbox" in response.headers["content-security-policy"]
    assert browser.http.get(path, headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 403
    assert browser.http.get("/operate/runs/%2e%2e/report.html").status_code == 404


def test_the_report_is_for_operators_only(browser: Any, run_folder: Path) -> None:
    path = "/operate/runs/run-0001/report.html"
    assert browser.http.get(path, headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 403


def test_a_link_out_of_the_runs_folder_is_not_followed(run_folder: Path, runs_dir: Path, tmp_path: Path) -> None:
    outside = tmp_path / "report.html"
    outside.write_text("secret")
    (runs_dir / "linked").symlink_to(tmp_path)
    (run_folder / "report.html").unlink()
    (run_folder / "report.html").symlink_to(outside)
    for run_id in ("linked", "run-0001", ".", "..", ""):
        with pytest.raises(UnknownRun):
            find_report(runs_dir, run_id)
