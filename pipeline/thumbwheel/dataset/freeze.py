"""Freeze: from the live store to an immutable snapshot.

The votes are read as they were current at the watermark, so the store may go on growing meanwhile. Three passes at
most over the store, each a stream: count, rank the votes of raters above the cap, write. A ranking takes the other
candidates that it names along. For `generate` and `classify`, a sample of answers nobody rated follows the rows
(`unrated.py`).

Votes on versions from before those that are asked for may be taken along as older rows, without the probabilities of
their answers: they say which label is right, and nothing is weighed by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from thumbwheel.dataset.manifest import Counts, Request, SnapshotManifest, learned_from
from thumbwheel.dataset.rater_cap import RaterCap
from thumbwheel.dataset.rows import SnapshotRow
from thumbwheel.dataset.snapshot import Snapshot, exists, remove_rows, write_manifest, write_rows
from thumbwheel.dataset.split import TimeCut, split_of, user_of
from thumbwheel.dataset.unrated import Surroundings
from thumbwheel.dataset.voices import voice_of
from thumbwheel.errors import AlreadyExists, NotEnoughData
from thumbwheel.records import (
    ClassifyAnswer,
    Feedback,
    GenerateAnswer,
    LoggedResponse,
    PolicyKind,
    RatedResponse,
    Split,
    TagAnswer,
)
from thumbwheel.store.port import FeedbackStore

COUNTED = 10_000

_WEIGHED_BY_WHO_RATES = (PolicyKind.GENERATE, PolicyKind.CLASSIFY)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What is taken, and how it is split."""

    request: Request
    cap: RaterCap
    time_cut_us: int
    around: Surroundings

    def split(self, who: str) -> Split:
        return split_of(self.request.policy, who, self.request.held_out)

    def split_of_row(self, response: LoggedResponse) -> Split:
        return self.split(user_of(response, self.request.anonymous_as_one))

    def is_older(self, response: LoggedResponse) -> bool:
        return response.ref.version in self.request.older


def freeze(store: FeedbackStore, request: Request, folder: Path) -> Snapshot:
    """Write the snapshot of a policy's votes at a watermark into `folder`, or return it if it is there.

    Where the request names versions, only their answers are looked at: what is newest, and how many votes of one
    rater are too many, is then measured among them and not among all that was ever answered.
    The same votes and request give the same bytes. A freeze that was killed is begun again.

    Raises:
        NotEnoughData: fewer votes to learn from than the request asks for; no row is kept.
        AlreadyExists: the folder has a snapshot of something else.
        DamagedArtifact: the folder has a snapshot whose rows were altered.
    """
    if exists(folder):
        return _as_asked(Snapshot(folder), request)
    rules = _survey(lambda: _asked_for(store, request), request)
    counts = Counts()
    if request.kind in _WEIGHED_BY_WHO_RATES:
        rules.around.look(store, request.policy)
    digest = write_rows(folder, _taken(store, rules, counts))
    if counts.teaching < request.min_votes:
        remove_rows(folder)
        raise NotEnoughData(_too_few(counts, request))
    write_manifest(folder, SnapshotManifest(request, digest, digest, rules.time_cut_us, counts))
    return Snapshot(folder)


def demand_enough(store: FeedbackStore, request: Request) -> None:
    """Refuse at once what `freeze` is bound to refuse: fewer votes that teach than the request asks for.

    Up to `COUNTED` current votes of the policy are counted as `freeze` would. Of more only the sum is looked at, on
    whatever version and of whomever: reading them takes long, and they pass though they may still be too few.

    Raises:
        NotEnoughData: there are too few.
    """
    current = store.new_votes(request.policy, since=0)
    there = sum(current.get(kind, 0) for kind in learned_from(request.kind))
    if there < request.min_votes:
        raise NotEnoughData(f"{_of_how_many(there, request)}; {_cure(request)}")
    if there > COUNTED:
        return
    counts = Counts()
    for row in _rated(store, _survey(lambda: _asked_for(store, request), request), counts):
        counts.add(row)
    if counts.teaching < request.min_votes:
        raise NotEnoughData(_too_few(counts, request))


def _as_asked(snapshot: Snapshot, request: Request) -> Snapshot:
    if snapshot.manifest.request != request:
        raise AlreadyExists(
            f"{snapshot.folder.name} has a snapshot of {snapshot.manifest.request}; freeze into another folder"
        )
    return snapshot


def _asked_for(store: FeedbackStore, request: Request) -> Iterator[RatedResponse]:
    """The rated answers of the request's versions, and of the older ones."""
    rated, versions = store.rated(request.policy, request.watermark), {*request.versions, *request.older}
    return (answer for answer in rated if not request.versions or answer.response.ref.version in versions)


def _survey(rated: Callable[[], Iterator[RatedResponse]], request: Request) -> _Rules:
    """Look before taking: the votes of each rater and the time of the newest slice."""
    cap = RaterCap(request.max_votes_per_rater, request.anonymous_as_one, learned_from(request.kind))
    times, around = TimeCut(request.seed), Surroundings(request.seed)
    for answer in rated():
        cap.count(answer.votes)
        if answer.response.ref.version not in request.older:
            times.add(answer.response.time_us)
            around.add(answer.response.response_id)
    rules = _Rules(request, cap, times.cut_us(), around)
    if cap.exceeded:
        for answer in rated():
            cap.rank(vote for vote in answer.votes if not _why_not(vote, answer.response, rules))
    return rules


def _taken(store: FeedbackStore, rules: _Rules, counts: Counts) -> Iterator[SnapshotRow]:
    """The rows that are in, counted as they pass, in the order of their ids; then those nobody rated."""
    first = ""
    for row in _rated(store, rules, counts):
        first = first or row.response.response_id
        counts.add(row)
        yield row
    counts.looked_at.update(rules.around.figures())
    for response in rules.around.unrated(after=first):
        if _teaches_unrated(response, rules):
            row = SnapshotRow(response, (), Split.UNRATED)
            counts.add(row)
            yield row


def _rated(store: FeedbackStore, rules: _Rules, counts: Counts) -> Iterator[SnapshotRow]:
    """The rows of rated answers that are in; votes that are not are counted as they pass."""
    for answer in _asked_for(store, rules.request):
        rules.around.is_rated(answer.response.response_id)
        votes = tuple(vote for vote in answer.votes if _keeps(vote, answer.response, rules, counts))
        if votes and rules.is_older(answer.response):
            yield SnapshotRow(_without_probabilities(answer.response), votes, Split.OLDER)
        elif votes:
            split = rules.split_of_row(answer.response)
            yield SnapshotRow(answer.response, votes, split, candidates=_ranked_beside(store, answer.response, votes))


def _without_probabilities(response: LoggedResponse) -> LoggedResponse:
    """The response as an older row has it: there may be many, and what they were drawn from is not looked at."""
    match response.answer:
        case ClassifyAnswer() as answer:
            return replace(response, answer=replace(answer, probabilities=(), labels=()))
        case TagAnswer() as answer:
            return replace(response, answer=replace(answer, probabilities=()))
        case GenerateAnswer():
            return response
        case answer:
            assert_never(answer)


def _ranked_beside(
    store: FeedbackStore, response: LoggedResponse, votes: Sequence[Feedback]
) -> tuple[LoggedResponse, ...]:
    """The other answers that rankings among the votes name, as far as they are there, in the order of their ids."""
    named = {name for vote in votes for name in vote.ranking} - {response.response_id}
    found = (store.response(name) for name in sorted(named))
    return tuple(one for one in found if one is not None and one.request_id == response.request_id)


def _teaches_unrated(response: LoggedResponse, rules: _Rules) -> bool:
    """Whether an answer that nobody rated is of the versions asked for, and given to a user who teaches."""
    versions = rules.request.versions
    return (not versions or response.ref.version in versions) and rules.split_of_row(response) is Split.TRAIN


def _keeps(vote: Feedback, response: LoggedResponse, rules: _Rules, counts: Counts) -> bool:
    """Whether a vote is in. The cap is on what is in otherwise: it keeps nothing that is then thrown away."""
    why = _why_not(vote, response, rules) or ("" if rules.cap.keeps(vote) else "rater_cap")
    if why:
        counts.left_out[why] += 1
    return not why


def _why_not(vote: Feedback, response: LoggedResponse, rules: _Rules) -> str:
    """Why a vote is left out whoever gave how many: too new to teach, or its rater is of the other part; else empty.

    Held-out users' votes on older versions would judge by what is long past.
    """
    if rules.split_of_row(response) is Split.TRAIN and response.time_us >= rules.time_cut_us:
        return "newest"
    if rules.split_of_row(response) is Split.HELD_OUT and rules.is_older(response):
        return "older_held_out"
    user = response.user_hash
    voice = voice_of(vote.rater, rules.request.anonymous_as_one)
    if user and voice != user and rules.split(voice) is not rules.split(user):
        return "rater_of_other_part"
    return ""


def _too_few(counts: Counts, request: Request) -> str:
    left_out = ", ".join(f"{number} {why}" for why, number in sorted(counts.left_out.items())) or "none"
    return (
        f"{_of_how_many(counts.teaching, request)}"
        f" (held out to judge: {counts.lessons[Split.HELD_OUT.value]}; left out: {left_out}); {_cure(request)}"
    )


def _of_how_many(count: int, request: Request) -> str:
    return f"{request.policy}: {count} {'vote' if count == 1 else 'votes'} to learn from, it takes {request.min_votes}"


def _cure(request: Request) -> str:
    return f"wait for more votes, or lower data.min_votes_{request.kind}"
