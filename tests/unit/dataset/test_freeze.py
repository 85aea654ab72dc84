"""Freezing: what is taken, how it is split, that it is exact, repeatable and streamed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbwheel.config.settings import Data
from thumbwheel.dataset import erase, snapshot
from thumbwheel.dataset.freeze import freeze
from thumbwheel.dataset.manifest import Request
from thumbwheel.dataset.rows import SnapshotRow, from_line, to_line
from thumbwheel.dataset.snapshot import Snapshot
from thumbwheel.dataset.split import NEWEST, TimeCut, split_of
from thumbwheel.errors import AlreadyExists, DamagedArtifact, NotEnoughData
from thumbwheel.ppo.classify.votes import votes_of as votes_of_rows
from thumbwheel.records import (
    Channel,
    ClassifyAnswer,
    Edit,
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
from thumbwheel.reward.rated_reply import rated_replies
from thumbwheel.store.port import FeedbackStore

DATA = Data(min_votes_classify=10, min_votes_generate=10)


def answer(n: int, user: str, **changes: object) -> LoggedResponse:
    logged = LoggedResponse(
        response_id=f"r{n:05}",
        request_id=f"q{n:05}",
        ref=VersionRef("intent", f"v{1 + n % 2}", "sha256:1"),
        channel=Channel.CHAMPION,
        tenant="",
        user_hash=user,
        client_request_id="",
        time_us=1_000_000 + n,
        not_learnable="",
        answer=ClassifyAnswer(f"text {n}", n % 3, "abc"[n % 3], (0.1, 1 / 3, 0.7), 0.02, ("a", "b", "c")),
    )
    return replace(logged, **changes)  # type: ignore[arg-type]


def thumb(n: int, rater: str, **changes: object) -> Feedback:
    vote = Feedback(
        f"f{n:05}", f"r{n:05}", rater, "", "intent", "v1", FeedbackKind.THUMB, 2_000_000 + n, thumb_up=n % 2 == 0
    )
    return replace(vote, **changes)  # type: ignore[arg-type]


class Votes:
    """The calls of the store that freezing makes, from a list; counts how often all votes were read."""

    def __init__(self, rated: list[RatedResponse]) -> None:
        self.all = rated
        self.passes = 0

    def response(self, response_id: str) -> LoggedResponse | None:
        """Of answers that nobody rated it has none."""
        return None

    def answers_after(self, policy: str, response_id: str, limit: int) -> list[LoggedResponse]:
        return []

    def rated(self, policy: str, watermark: int) -> Iterator[RatedResponse]:
        assert (policy, watermark) == ("intent", 7)
        self.passes += 1
        return iter(self.all)


def votes_of(users: int, each: int) -> Votes:
    return Votes([RatedResponse(answer(n, f"u{n % users}"), (thumb(n, f"u{n % users}"),)) for n in range(users * each)])


def frozen(votes: Votes, folder: Path, data: Data = DATA, seed: int = 3, versions: tuple[str, ...] = ()) -> Snapshot:
    request = Request.of("intent", PolicyKind.CLASSIFY, 7, data, seed, versions)
    return freeze(cast(FeedbackStore, votes), request, folder)


def test_rows_are_split_by_user_and_time(tmp_path: Path) -> None:
    made = frozen(votes_of(100, 10), tmp_path / "s")
    train, held_out = list(made.rows(Split.TRAIN)), list(made.rows(Split.HELD_OUT))
    assert {r.response.user_hash for r in train}.isdisjoint(r.response.user_hash for r in held_out)
    newest = sorted(1_000_000 + n for n in range(1000))[-round(1000 * NEWEST)]
    assert made.manifest.time_cut_us == newest
    assert max(r.response.time_us for r in train) < newest
    assert max(r.response.time_us for r in held_out) >= newest
    held_out_users = sum(split_of("intent", f"u{n}", 0.2) is Split.HELD_OUT for n in range(100))
    assert len(held_out) == 10 * held_out_users and 8 <= held_out_users <= 32
    assert len(train) + len(held_out) + made.manifest.counts.left_out["newest"] == 1000


def test_the_newest_and_the_cap_are_measured_among_the_versions_asked_for(tmp_path: Path) -> None:
    def served(n: int) -> RatedResponse:
        """A long history of `old`, then 100 answers of `new` at the end."""
        ref = VersionRef("intent", "new" if n >= 1900 else "old", "sha256:1")
        return RatedResponse(answer(n, f"u{n % 50}", ref=ref), (thumb(n, f"u{n % 50}"),))

    votes = Votes([served(n) for n in range(2000)])
    data = Data(min_votes_classify=10, max_votes_per_rater=2)
    everything = frozen(votes, tmp_path / "all", data)
    assert not any(row.response.ref.version == "new" for row in everything.rows(Split.TRAIN))

    made = frozen(votes, tmp_path / "new", data, versions=("new",))
    rows = [*made.rows(Split.TRAIN), *made.rows(Split.HELD_OUT)]
    assert {row.response.ref.version for row in rows} == {"new"}
    assert made.manifest.time_cut_us == 1_000_000 + 1995
    assert made.manifest.counts.left_out["rater_cap"] == 0
    assert len(rows) + made.manifest.counts.left_out["newest"] == 100
    assert Snapshot(tmp_path / "new").manifest.request.versions == ("new",)


def test_a_held_out_user_stays_held_out_whatever_the_seed(tmp_path: Path) -> None:
    parts = [
        {
            row.response.user_hash
            for row in frozen(votes_of(50, 4), tmp_path / str(seed), seed=seed).rows(Split.HELD_OUT)
        }
        for seed in (0, 1)
    ]
    assert parts[0] == parts[1] != set()


def test_the_manifest_counts_what_is_in(tmp_path: Path) -> None:
    votes = votes_of(20, 10)
    votes.all[0] = RatedResponse(replace(votes.all[0].response, not_learnable="argmax"), votes.all[0].votes)
    made = frozen(votes, tmp_path / "s")
    rows, counts = list(made.rows()), made.manifest.counts
    assert sum(counts.rows.values()) == sum(counts.votes.values()) == len(rows)
    assert made.manifest.rows(Split.TRAIN) == sum(row.split is Split.TRAIN for row in rows)
    assert counts.votes_by_kind == {"thumb": len(rows)}
    assert counts.votes_by_version["v1"] == sum(row.response.ref.version == "v1" for row in rows)
    assert counts.votes_by_rater["u3"] == sum(row.votes[0].rater == "u3" for row in rows)
    assert counts.not_learnable == {"argmax": 1}
    assert [row.learnable for row in rows].count(False) == 1
    assert made.manifest.request.watermark == 7 and made.manifest.request.seed == 3


def test_the_same_votes_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = frozen(votes_of(30, 5), tmp_path / "a"), frozen(votes_of(30, 5), tmp_path / "b")
    for name in ("rows.jsonl", "manifest.json"):
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()


def test_freezing_again_reads_nothing_and_returns_the_same(tmp_path: Path) -> None:
    first = frozen(votes_of(30, 5), tmp_path / "s")
    votes = votes_of(2, 2)
    assert frozen(votes, tmp_path / "s").digest == first.digest
    assert votes.passes == 0
    with pytest.raises(AlreadyExists, match="another folder"):
        frozen(votes_of(30, 5), tmp_path / "s", seed=4)


@pytest.mark.parametrize("files", [["rows.jsonl.partial"], ["rows.jsonl"], ["rows.jsonl", "manifest.json.partial"]])
def test_a_freeze_that_was_killed_is_begun_again(tmp_path: Path, files: list[str]) -> None:
    whole = frozen(votes_of(30, 5), tmp_path / "whole")
    (tmp_path / "s").mkdir()
    for name in files:
        (tmp_path / "s" / name).write_text('{"half')
    assert not snapshot.exists(tmp_path / "s")
    made = frozen(votes_of(30, 5), tmp_path / "s")
    assert made.digest == whole.digest
    assert not list(made.folder.glob("rows*.partial"))


def test_only_the_newest_votes_of_a_rater_count(tmp_path: Path) -> None:
    votes = votes_of(20, 10)
    votes.all += [RatedResponse(answer(n, "spam"), (thumb(n, "spam"),)) for n in range(-60, 0)]
    made = frozen(votes, tmp_path / "s", Data(min_votes_classify=10, max_votes_per_rater=15))
    kept = sorted(row.votes[0].time_us for row in made.rows() if row.votes[0].rater == "spam")
    assert kept == [2_000_000 + n for n in range(-15, 0)]
    assert made.manifest.counts.left_out["rater_cap"] == 45
    assert votes.passes == 3


def test_the_cap_keeps_nothing_that_is_then_thrown_away(tmp_path: Path) -> None:
    teacher = next(f"u{n}" for n in range(99) if split_of("intent", f"u{n}", 0.2) is Split.TRAIN)
    judge = next(f"u{n}" for n in range(99) if split_of("intent", f"u{n}", 0.2) is Split.HELD_OUT)
    votes = Votes([RatedResponse(answer(n, teacher), (thumb(n, teacher),)) for n in range(100)])
    votes.all += [RatedResponse(answer(n, judge), (thumb(n, teacher),)) for n in range(100, 120)]
    of_two = {"kind": FeedbackKind.RANKING, "thumb_up": None, "ranking": ("r00005", "r00006")}
    rankings = tuple(thumb(5, teacher, feedback_id=f"e{n}", time_us=9**9, **of_two) for n in range(40))
    votes.all[5] = RatedResponse(votes.all[5].response, (*votes.all[5].votes, *rankings))
    votes.all += [RatedResponse(answer(n, teacher), (thumb(n, teacher),)) for n in range(120, 126)]
    made = frozen(votes, tmp_path / "s", Data(min_votes_classify=10, max_votes_per_rater=15))
    kept = [vote for row in made.rows() for vote in row.votes]
    thumbs = sorted(vote.time_us for vote in kept if vote.kind is FeedbackKind.THUMB)
    assert thumbs == [2_000_000 + n for n in range(85, 100)]
    assert sum(vote.kind is FeedbackKind.RANKING for vote in kept) == 40
    assert made.manifest.counts.left_out == {"rater_cap": 85, "rater_of_other_part": 20, "newest": 6}


def unnamed(n: int) -> RatedResponse:
    """An answer to nobody in particular, rated by whoever holds its token."""
    return RatedResponse(answer(n, ""), (thumb(n, f"a{-n:032x}"),))


def test_votes_without_a_user_id_are_one_rater_that_never_judges(tmp_path: Path) -> None:
    votes = votes_of(20, 10)
    votes.all += [unnamed(n) for n in range(-60, 0)]
    made = frozen(votes, tmp_path / "one", Data(min_votes_classify=10, max_votes_per_rater=15))
    kept = [row for row in made.rows() if not row.response.user_hash]
    assert sorted(row.votes[0].time_us for row in kept) == [2_000_000 + n for n in range(-15, 0)]
    assert {row.split for row in kept} == {Split.TRAIN}
    assert made.manifest.counts.left_out["rater_cap"] == 45
    assert kept[0].votes[0].rater.startswith("a") and len(kept[0].votes[0].rater) == 33

    apart = Data(min_votes_classify=10, max_votes_per_rater=15, anonymous_as_one=False)
    rows = [row for row in frozen(votes, tmp_path / "many", apart).rows() if not row.response.user_hash]
    assert len(rows) == 60 and {row.split for row in rows} == {Split.TRAIN, Split.HELD_OUT}


def test_a_vote_of_a_rater_from_the_other_part_is_left_out(tmp_path: Path) -> None:
    teacher = next(f"u{n}" for n in range(99) if split_of("intent", f"u{n}", 0.2) is Split.TRAIN)
    judge = next(f"u{n}" for n in range(99) if split_of("intent", f"u{n}", 0.2) is Split.HELD_OUT)
    votes = votes_of(20, 10)
    votes.all.insert(0, RatedResponse(answer(-1, teacher), (thumb(-1, teacher), thumb(-1, judge, feedback_id="x"))))
    votes.all.insert(0, RatedResponse(answer(-2, ""), (thumb(-2, "a1"),)))
    rows = {row.response.response_id: row for row in frozen(votes, tmp_path / "s").rows()}
    assert [vote.rater for vote in rows["r-0001"].votes] == [teacher]
    assert [vote.rater for vote in rows["r-0002"].votes] == ["a1"]


def test_too_few_votes_are_refused_with_numbers_and_leave_nothing(tmp_path: Path) -> None:
    enough = frozen(votes_of(10, 10), tmp_path / "enough").manifest.counts
    least = enough.teaching
    assert 10 < least < enough.usable, "the limit lies between what teaches and what is there"
    exact = Data(min_votes_classify=least)
    assert frozen(votes_of(10, 10), tmp_path / "exact", exact).manifest.counts.usable == enough.usable
    with pytest.raises(NotEnoughData, match=rf"{least} votes.*takes {least + 1} .*data\.min_votes_classify"):
        frozen(votes_of(10, 10), tmp_path / "s", Data(min_votes_classify=least + 1))
    assert list((tmp_path / "s").iterdir()) == []


def test_the_least_number_of_votes_is_counted_as_learners_do(tmp_path: Path) -> None:
    votes = votes_of(20, 10)
    for n in range(0, 60, 2):
        votes.all[n] = RatedResponse(replace(votes.all[n].response, not_learnable="argmax"), votes.all[n].votes)
    edit = thumb(1, "u1", feedback_id="e", kind=FeedbackKind.EDIT, thumb_up=None, edit=Edit("", "a"))
    votes.all[1] = RatedResponse(votes.all[1].response, (*votes.all[1].votes, edit))
    made = frozen(votes, tmp_path / "s")
    assert made.manifest.counts.teaching == len(votes_of_rows(made.rows(Split.TRAIN), ("a", "b", "c")))
    assert made.manifest.counts.teaching < sum(len(row.votes) for row in made.rows(Split.TRAIN))


def reply(n: int, token_ids: tuple[int, ...], why_not: str) -> SnapshotRow:
    said = GenerateAnswer((Message("user", "x"),), "y", (1, n), token_ids, (), 1.0, 1.0, 0, 9, "stop", 0, 1)
    return SnapshotRow(answer(n, "u", answer=said, not_learnable=why_not), (thumb(n, "u"),), Split.TRAIN)


def test_votes_on_replies_teach_the_reward_model_unless_nothing_was_said() -> None:
    rows = [reply(1, (5, 2), ""), reply(2, (5,), "greedy"), reply(3, (), "")]
    rated = rated_replies(rows)
    assert [len(row.lessons) for row in rows] == [1, 1, 0]
    assert [(one.reply_ids, one.learnable) for one in rated] == [((5, 2), True), ((5,), False)]


def test_altered_rows_are_damage(tmp_path: Path) -> None:
    made = frozen(votes_of(20, 10), tmp_path / "s")
    path = made.folder / "rows.jsonl"
    path.write_text(path.read_text().replace("text 7", "text 8"))
    with pytest.raises(DamagedArtifact, match="altered"):
        Snapshot(made.folder)


def test_a_time_cut_is_exact_for_few_rows_and_near_for_many() -> None:
    few, many = TimeCut(0), TimeCut(0)
    for n in range(100):
        few.add(n)
    for n in range(200_000):
        many.add(n)
    assert few.cut_us() == 95
    assert abs(many.cut_us() - 190_000) < 1_000
    assert TimeCut(0).cut_us() == 0


def test_a_redacted_snapshot_has_nothing_of_the_user(tmp_path: Path) -> None:
    votes = votes_of(20, 10)
    made = frozen(votes, tmp_path / "s")
    rows = list(made.rows())
    (made.folder / "rows-9.jsonl.partial").write_text("left by a crash: u3")
    assert erase.contains(made, "u3") and not erase.contains(made, "nobody")
    redacted = erase.redact(made, "u3")
    assert list(redacted.rows()) == [row for row in rows if row.response.user_hash != "u3"]
    assert not any('"u3"' in path.read_text() for path in made.folder.iterdir())
    assert (redacted.manifest.redactions, redacted.manifest.digest_as_frozen) == (1, made.digest)
    assert redacted.manifest.counts.rows.total() == len(rows) - made.manifest.counts.votes_by_rater["u3"]
    assert erase.redact(redacted, "u3").digest == redacted.digest
    assert erase.redact(redacted, "u4").manifest.redactions == 2


FLOATS = st.floats(allow_nan=False)


@given(st.lists(FLOATS, max_size=5), st.text(max_size=20), st.integers(-(2**63), 2**63 - 1))
def test_a_line_reads_back_exactly(logprobs: list[float], text: str, time_us: int) -> None:
    reply = GenerateAnswer(
        (Message("user", text), Message("assistant", "")),
        text,
        (1, 2),
        (3,),
        tuple(logprobs),
        0.7,
        1.0,
        0,
        9,
        "stop",
        0,
        1,
    )
    votes = (
        thumb(1, "u", comment=text, reasons=("a", text)),
        thumb(1, "u", kind=FeedbackKind.EDIT, thumb_up=None, edit=Edit(text, "", ("B", "O"))),
        thumb(1, "u", kind=FeedbackKind.RANKING, thumb_up=None, ranking=("r1", "r2")),
        thumb(1, "u", kind=FeedbackKind.RATING, thumb_up=None, rating=5),
    )
    row = SnapshotRow(answer(1, "u", answer=reply, time_us=time_us), votes, Split.TRAIN, 0.1)
    line = to_line(row)
    assert "\n" not in line
    assert from_line(line, PolicyKind.GENERATE) == row


def test_numbers_that_are_none_come_through_and_damage_is_named() -> None:
    broken = ClassifyAnswer("text", 0, "a", (math.nan, math.inf), 0.02, ("a", "b"))
    row = SnapshotRow(answer(1, "u", answer=broken), (), Split.TRAIN)
    back = from_line(to_line(row), PolicyKind.CLASSIFY).response.answer
    assert isinstance(back, ClassifyAnswer)
    assert math.isnan(back.probabilities[0]) and math.isinf(back.probabilities[1])
    with pytest.raises(DamagedArtifact, match=r"rows\.jsonl"):
        from_line('{"split": "train"}', PolicyKind.CLASSIFY)


def test_votes_on_older_versions_come_along_without_probabilities_and_judge_nothing(tmp_path: Path) -> None:
    def served(n: int) -> RatedResponse:
        """300 answers of `gone`, 300 of `old`, then 400 of `new`."""
        name = "gone" if n < 300 else "old" if n < 600 else "new"
        ref = VersionRef("intent", name, "sha256:1")
        return RatedResponse(answer(n, f"u{n % 50}", ref=ref), (thumb(n, f"u{n % 50}"),))

    votes = Votes([served(n) for n in range(1000)])
    alone = frozen(votes, tmp_path / "new", versions=("new",))
    request = Request.of("intent", PolicyKind.CLASSIFY, 7, DATA, 3, ("new",), ("old",))
    made = freeze(cast(FeedbackStore, votes), request, tmp_path / "both")
    older = list(made.rows(Split.OLDER))
    teachers = {f"u{n}" for n in range(50) if split_of("intent", f"u{n}", DATA.held_out) is Split.TRAIN}
    assert len(older) == 6 * len(teachers) == 300 - made.manifest.counts.left_out["older_held_out"]
    assert {row.response.ref.version for row in older} == {"old"}
    assert {row.response.user_hash for row in older} == teachers
    assert {row.response.answer.probabilities for row in older if isinstance(row.response.answer, ClassifyAnswer)} == {
        ()
    }
    for part in (Split.TRAIN, Split.HELD_OUT):  # what PPO and the gates read is what it is without them
        assert list(made.rows(part)) == list(alone.rows(part))
    assert made.manifest.time_cut_us == alone.manifest.time_cut_us
    assert made.manifest.counts.teaching == alone.manifest.counts.teaching
    assert Snapshot(tmp_path / "both").manifest.request == request


def test_the_cap_of_a_rater_counts_older_votes_too(tmp_path: Path) -> None:
    def served(n: int) -> RatedResponse:
        ref = VersionRef("intent", "new" if n >= 300 else "old", "sha256:1")
        return RatedResponse(answer(n, f"u{n % 20}", ref=ref), (thumb(n, f"u{n % 20}"),))

    data = Data(min_votes_classify=10, max_votes_per_rater=12)
    votes = Votes([served(n) for n in range(500)])
    request = Request.of("intent", PolicyKind.CLASSIFY, 7, data, 3, ("new",), ("old",))
    made = freeze(cast(FeedbackStore, votes), request, tmp_path / "s")
    by_rater: dict[str, int] = {}
    for part in (Split.TRAIN, Split.OLDER):
        for row in made.rows(part):
            by_rater[row.response.user_hash] = by_rater.get(row.response.user_hash, 0) + len(row.votes)
    assert set(by_rater.values()) == {12}  # 10 a rater on `new`, less those of the newest slice, then the newest `old`
