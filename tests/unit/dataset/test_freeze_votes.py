"""What a snapshot of a `generate` policy has besides rated answers: ranked candidates, and a sample of unrated ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from thumbwheel.config.settings import Data
from thumbwheel.dataset import erase
from thumbwheel.dataset import freeze as freezing
from thumbwheel.dataset.freeze import demand_enough, freeze
from thumbwheel.dataset.manifest import Request, learned_from
from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.dataset.split import split_of
from thumbwheel.dataset.unrated import STEPS, WALKS
from thumbwheel.errors import NotEnoughData
from thumbwheel.records import (
    Channel,
    Feedback,
    FeedbackKind,
    GenerateAnswer,
    LoggedResponse,
    Message,
    PolicyKind,
    RatedResponse,
    Split,
    VersionRef,
)
from thumbwheel.store.port import FeedbackStore

USERS = 40


def user(n: int) -> str:
    return f"u{n % USERS}"


def answer(n: int, candidate: int = 0) -> LoggedResponse:
    said = GenerateAnswer((Message("user", "x"),), "y", (1, n), (5, 2), (), 1.0, 1.0, 0, 9, "stop", candidate, 2)
    ref = VersionRef("chat", "v1", "d")
    return LoggedResponse(f"r{n:05}", f"q{n:05}", ref, Channel.CHAMPION, "", user(n), "", n, "", said)


def vote(n: int, kind: FeedbackKind = FeedbackKind.THUMB, **what: object) -> Feedback:
    given = {"thumb_up": n % 2 == 0} if kind is FeedbackKind.THUMB else {}
    made = Feedback(f"f{n}{kind}", f"r{n:05}", user(n), "", "chat", "v1", kind, n)
    return replace(made, **(given | what))  # type: ignore[arg-type]


class Store:
    """What freezing asks of a store: every third answer has a thumb; the tenth answer of each hundred is ranked."""

    def __init__(self, count: int) -> None:
        self.answers = {f"r{n:05}": answer(n) for n in range(count)}
        self.walks = 0

    def rated(self, policy: str, watermark: int) -> Iterator[RatedResponse]:
        for n, one in enumerate(self.answers.values()):
            if n % 100 == 10:
                beside = f"r{n + USERS:05}"
                yield RatedResponse(one, (vote(n, FeedbackKind.RANKING, ranking=(beside, one.response_id, "gone")),))
            elif n % 3 == 0:
                yield RatedResponse(one, (vote(n),))

    def response(self, response_id: str) -> LoggedResponse | None:
        return self.answers.get(response_id)

    def answers_after(self, policy: str, response_id: str, limit: int) -> list[LoggedResponse]:
        self.walks += 1
        return [one for name, one in self.answers.items() if name > response_id][:limit]

    def new_votes(self, policy: str, since: int) -> dict[FeedbackKind, int]:
        return {FeedbackKind.THUMB: 5, FeedbackKind.RATING: 7}


def frozen(store: Store, folder: Path, seed: int = 0) -> Snapshot:
    request = Request.of("chat", PolicyKind.GENERATE, 7, Data(min_votes_generate=10), seed)
    return freeze(cast(FeedbackStore, store), request, folder)


def test_a_ranking_takes_its_candidates_along_as_far_as_they_are_of_the_same_request(tmp_path: Path) -> None:
    store = Store(600)
    beside = store.answers["r00050"]
    store.answers["r00050"] = replace(beside, request_id="q00010")  # ranked with r00010; the others are of strangers
    rows = list(frozen(store, tmp_path / "s").rows())
    assert [row.response.response_id for row in rows if row.candidates] == ["r00010"]
    found = next(row for row in rows if row.response.response_id == "r00010")
    assert [one.response_id for one in found.candidates] == ["r00050"]
    assert found.lessons == found.votes


def test_the_sample_of_unrated_answers_is_bounded_and_has_no_rated_one(tmp_path: Path) -> None:
    store = Store(6000)
    made = frozen(store, tmp_path / "s")
    rated = {one.response.response_id for one in store.rated("chat", 7)}
    unrated = list(made.rows(Split.UNRATED))
    looked_at = made.manifest.counts.looked_at
    assert store.walks == WALKS and 0 < len(unrated) <= looked_at["unrated"] < WALKS * STEPS
    assert rated.isdisjoint(row.response.response_id for row in unrated)
    assert all(not row.votes and split_of("chat", row.response.user_hash, 0.2) is Split.TRAIN for row in unrated)
    share = looked_at["rated"] / (looked_at["rated"] + looked_at["unrated"])
    assert share == pytest.approx(1 / 3, abs=0.03)
    ids = [row.response.response_id for row in made.rows()]
    assert ids[0] == min(ids), "what is first is oldest"
    assert made.manifest.counts.teaching + made.manifest.counts.lessons["held_out"] == made.manifest.counts.usable
    again = frozen(Store(6000), tmp_path / "again")
    assert again.digest == made.digest != frozen(Store(6000), tmp_path / "other", seed=1).digest


def test_an_erased_user_is_in_no_sample_and_beside_no_ranking(tmp_path: Path) -> None:
    store = Store(3000)
    made = frozen(store, tmp_path / "s")
    name = next(row.response.user_hash for row in made.rows(Split.UNRATED))
    kept = [row for row in made.rows() if row.response.user_hash != name]
    redacted = erase.redact(made, name)
    assert list(redacted.rows()) == kept
    assert not any(f'"{name}"' in path.read_text() for path in made.folder.iterdir())
    assert redacted.manifest.counts.looked_at == made.manifest.counts.looked_at


def test_votes_of_every_kind_are_enough_or_too_few(tmp_path: Path) -> None:
    assert learned_from(PolicyKind.GENERATE) == set(FeedbackKind)
    assert learned_from(PolicyKind.CLASSIFY) == set(FeedbackKind) - {FeedbackKind.RANKING}
    request = Request.of("chat", PolicyKind.GENERATE, 7, Data(min_votes_generate=13), 0)
    with pytest.raises(NotEnoughData, match="12 votes to learn from, it takes 13"):
        demand_enough(cast(FeedbackStore, Store(0)), request)


def test_votes_that_do_not_teach_are_told_before_a_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(900)
    counts = frozen(store, tmp_path / "s").manifest.counts
    there, teaching, judging = (
        counts.votes.total() + counts.left_out.total(),
        counts.teaching,
        counts.lessons["held_out"],
    )
    assert 0 < teaching < there and judging > 0 and counts.left_out["newest"] > 0
    monkeypatch.setattr(store, "new_votes", lambda policy, since: {FeedbackKind.THUMB: there})
    request = Request.of("chat", PolicyKind.GENERATE, 7, Data(min_votes_generate=teaching), 0)
    demand_enough(cast(FeedbackStore, store), request)
    more = replace(request, min_votes=teaching + 1)
    told = (
        rf"{teaching} votes to learn from, it takes {teaching + 1} \(held out to judge: {judging}; left out: .* newest"
    )
    with pytest.raises(NotEnoughData, match=told):
        demand_enough(cast(FeedbackStore, store), more)
    monkeypatch.setattr(freezing, "COUNTED", there - 1)
    demand_enough(cast(FeedbackStore, store), more)  # so many are not read at once
