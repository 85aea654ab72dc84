"""What comes back, and how it is rated.

`R` is what a vote returns: the feedback id with the blocking client, an awaitable of it with the asyncio one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from thumbwheel.client.requests import new_feedback_id, retract_request
from thumbwheel.client.values import int32, items, strings, utf8
from thumbwheel.errors import Conflict, InvalidInput
from thumbwheel.feedback.v1 import feedback_pb2 as fb
from thumbwheel.inference.v1 import inference_pb2 as inf
from thumbwheel.records import FeedbackKind, PolicyKind

R = TypeVar("R", covariant=True)

_KINDS = {
    inf.POLICY_KIND_GENERATE: PolicyKind.GENERATE,
    inf.POLICY_KIND_CLASSIFY: PolicyKind.CLASSIFY,
    inf.POLICY_KIND_TAG: PolicyKind.TAG,
}
_FINISH_REASONS = {
    inf.FINISH_REASON_UNSPECIFIED: "",
    inf.FINISH_REASON_STOP: "stop",
    inf.FINISH_REASON_LENGTH: "length",
    inf.FINISH_REASON_STOP_STRING: "stop_string",
}


class Sender(Protocol[R]):
    """Sends feedback."""

    def submit(self, request: fb.SubmitFeedbackRequest) -> R:
        """Send feedback and return its id once it is durable."""

    def retract(self, request: fb.RetractFeedbackRequest) -> R:
        """Take feedback back and return the retraction's id once it is durable."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an answer is stamped with: its id, the version that made it, and the right to rate it."""

    response_id: str
    token: str = field(repr=False)
    policy: str = ""
    version: str = ""
    digest: str = ""
    channel: str = ""
    logged: bool = True

    @classmethod
    def from_stamp(cls, stamp: inf.Stamp) -> Receipt:
        """Read the contract's stamp."""
        return cls(
            response_id=stamp.response_id,
            token=stamp.feedback_token,
            policy=stamp.policy,
            version=stamp.policy_version,
            digest=stamp.checkpoint_digest,
            channel=stamp.channel,
            logged=stamp.logged,
        )


@dataclass(frozen=True)
class Ballot(Generic[R]):
    """The right to rate one answer. The last vote of a kind counts.

    Every vote raises, besides what any call can raise: InvalidInput, TokenRefused, Overloaded (too many votes in
    a minute), LogUnavailable (not counted; try again), and Conflict for an answer that was not logged.
    """

    receipt: Receipt
    user: str
    _sender: Sender[R] = field(repr=False, compare=False)

    @property
    def response_id(self) -> str:
        """The answer's id."""
        return self.receipt.response_id

    @property
    def version(self) -> str:
        """The version of the policy that made the answer."""
        return self.receipt.version

    def thumbs_up(self, comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Say that the answer is good. Returns the feedback id."""
        return self._submit(fb.SubmitFeedbackRequest(thumb=fb.THUMB_UP), comment, reasons)

    def thumbs_down(self, comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Say that the answer is bad. Returns the feedback id."""
        return self._submit(fb.SubmitFeedbackRequest(thumb=fb.THUMB_DOWN), comment, reasons)

    def rate(self, rating: int, comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Give 1 (worst) to 5 stars. Returns the feedback id."""
        return self._submit(fb.SubmitFeedbackRequest(rating=int32("rating", rating)), comment, reasons)

    def correct_label(self, label: str, comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Say which label would have been right. Returns the feedback id."""
        return self._submit(fb.SubmitFeedbackRequest(edit=fb.Edit(label=utf8("label", label))), comment, reasons)

    def correct_text(self, text: str, comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Say what the answer should have been. Returns the feedback id."""
        return self._submit(fb.SubmitFeedbackRequest(edit=fb.Edit(text=utf8("text", text))), comment, reasons)

    def correct_tags(self, tags: Sequence[str], comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Say which tags would have been right, one for each word of the answer. Returns the feedback id."""
        edit = fb.Edit(tags=fb.Tags(tags=strings("tags", tags)))
        return self._submit(fb.SubmitFeedbackRequest(edit=edit), comment, reasons)

    def retract(self, kind: FeedbackKind | str) -> R:
        """Take back the current "thumb", "rating", "ranking" or "edit". Returns the retraction's id.

        Taking back what is taken back already changes nothing. Raises NothingToRetract when none was ever given.
        """
        request = retract_request(self.response_id, self.receipt.token, self.user, _kind(kind))
        return self._sender.retract(request)

    def _submit(self, request: fb.SubmitFeedbackRequest, comment: str, reasons: Sequence[str]) -> R:
        self._demand_logged()
        request.feedback_id = new_feedback_id()
        request.response_id = utf8("response_id", self.response_id)
        request.feedback_token = utf8("feedback_token", self.receipt.token)
        request.user_id = utf8("user_id", self.user)
        request.comment = utf8("comment", comment)
        request.reasons.extend(strings("reasons", reasons))
        return self._sender.submit(request)

    def _demand_logged(self) -> None:
        if not self.receipt.logged:
            raise Conflict("this answer was served but could not be logged, so it can't be rated; ask again")


@dataclass(frozen=True)
class Classification(Ballot[R]):
    """A label, and the probability of every label as served, likeliest first."""

    label: str
    probabilities: Mapping[str, float]

    def correct(self, label: str, comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Say which label would have been right. Returns the feedback id."""
        return self.correct_label(label, comment, reasons)


@dataclass(frozen=True, slots=True)
class TaggedWord:
    """A word with its tag, a BIO tag such as `B-city`, or `O`.

    `start` and `end` (exclusive) are characters of the text; of words that were sent as a list, of those joined by
    single blanks. `probability` is the tag's, as served.
    """

    text: str
    tag: str
    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class Tagging(Ballot[R]):
    """A tag for each word of a text."""

    words: tuple[TaggedWord, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """The tag of each word."""
        return tuple(word.tag for word in self.words)

    def correct(self, tags: Sequence[str], comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Say which tags would have been right, one for each word, in order. Returns the feedback id."""
        return self.correct_tags(tags, comment, reasons)


@dataclass(frozen=True)
class Candidate(Ballot[R]):
    """One generated text. `finish_reason` is "stop", "length" or "stop_string"."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int

    def correct(self, text: str, comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Say what the answer should have been. Returns the feedback id."""
        return self.correct_text(text, comment, reasons)


@dataclass(frozen=True)
class Generation(Generic[R]):
    """The candidates of one request. Votes on the whole are votes on the first candidate."""

    candidates: tuple[Candidate[R], ...]

    @property
    def first(self) -> Candidate[R]:
        """The first candidate."""
        return self.candidates[0]

    @property
    def text(self) -> str:
        """The text of the first candidate."""
        return self.first.text

    @property
    def version(self) -> str:
        """The version of the policy that made the candidates."""
        return self.first.version

    def thumbs_up(self, comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Say that the first candidate is good. Returns the feedback id."""
        return self.first.thumbs_up(comment, reasons)

    def thumbs_down(self, comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Say that the first candidate is bad. Returns the feedback id."""
        return self.first.thumbs_down(comment, reasons)

    def rate(self, rating: int, comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Give the first candidate 1 to 5 stars. Returns the feedback id."""
        return self.first.rate(rating, comment, reasons)

    def correct(self, text: str, comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Say what the answer should have been. Returns the feedback id."""
        return self.first.correct(text, comment, reasons)

    def rank(self, best_first: Sequence[Ballot[R]], comment: str = "", reasons: Sequence[str] = ()) -> R:
        """Order candidates, the best first. Returns the feedback id."""
        return rank(best_first, comment, reasons)

    def retract(self, kind: FeedbackKind | str) -> R:
        """Take back the first candidate's vote of a kind, or the ranking of the candidates."""
        if _kind(kind) is FeedbackKind.RANKING:
            return ranking_holder(self.candidates).retract(kind)
        return self.first.retract(kind)


def rank(best_first: Sequence[Ballot[R]], comment: str = "", reasons: Sequence[str] = ()) -> R:
    """Order 2 to 8 candidates of one request, the best first. Returns the feedback id.

    Raises InvalidInput for an empty order, or one of anything but candidates.
    """
    ballots: list[Ballot[R]] = items("ranking", best_first, "a list of candidates, best first")
    if not ballots:
        raise InvalidInput("ranking", "needs 2 to 8 candidates, best first")
    ranked = [_ranked(f"ranking[{index}]", one) for index, one in enumerate(ballots)]
    request = fb.SubmitFeedbackRequest(ranking=fb.Ranking(best_first=ranked))
    return ballots[0]._submit(request, comment, reasons)


def _ranked(field: str, one: Ballot[R]) -> fb.RankedCandidate:
    if not isinstance(one, Ballot):
        raise InvalidInput(field, f"must be a candidate or a ballot, got {type(one).__name__}")
    return fb.RankedCandidate(
        response_id=utf8(f"{field}.response_id", one.response_id),
        feedback_token=utf8(f"{field}.feedback_token", one.receipt.token),
    )


def ranking_holder(candidates: Sequence[Ballot[R]]) -> Ballot[R]:
    """Return the candidate under which the service keeps a ranking of them: the one of smallest id."""
    return min(candidates, key=lambda candidate: candidate.response_id)


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """A version that answers now, and in which channel."""

    channel: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class PolicyDescription:
    """What the service says of a policy. Limits that don't belong to its kind are 0."""

    policy: str
    kind: PolicyKind
    served: tuple[ServedVersion, ...]
    labels: tuple[str, ...]
    max_input_tokens: int
    max_new_tokens: int
    probability_floor: float


def read_classification(response: inf.ClassifyResponse, user: str, sender: Sender[R]) -> Classification[R]:
    """Read the answer of Classify."""
    probabilities = {entry.label: entry.probability for entry in response.probabilities}
    return Classification(Receipt.from_stamp(response.stamp), user, sender, response.label, probabilities)


def read_tagging(response: inf.TagResponse, user: str, sender: Sender[R]) -> Tagging[R]:
    """Read the answer of Tag."""
    words = tuple(TaggedWord(one.token, one.tag, one.start, one.end, one.probability) for one in response.tokens)
    return Tagging(Receipt.from_stamp(response.stamp), user, sender, words)


def read_generation(response: inf.GenerateResponse, user: str, sender: Sender[R]) -> Generation[R]:
    """Read the answer of Generate."""
    return Generation(
        tuple(
            Candidate(
                Receipt.from_stamp(candidate.stamp),
                user,
                sender,
                candidate.text,
                finish_reason(candidate.finish_reason),
                candidate.prompt_tokens,
                candidate.completion_tokens,
            )
            for candidate in response.candidates
        )
    )


def read_descriptions(response: inf.DescribePolicyResponse) -> tuple[PolicyDescription, ...]:
    """Read the answer of DescribePolicy; policies of a kind unknown to this client are left out."""
    return tuple(
        PolicyDescription(
            policy=one.policy,
            kind=_KINDS[one.kind],
            served=tuple(ServedVersion(v.channel, v.policy_version, v.checkpoint_digest) for v in one.served),
            labels=tuple(one.labels),
            max_input_tokens=one.max_input_tokens,
            max_new_tokens=one.max_new_tokens,
            probability_floor=one.probability_floor,
        )
        for one in response.policies
        if one.kind in _KINDS
    )


def finish_reason(value: inf.FinishReason) -> str:
    """Return "stop", "length", "stop_string", or "" for one unknown to this client."""
    return _FINISH_REASONS.get(value, "")


def _kind(kind: FeedbackKind | str) -> FeedbackKind:
    try:
        return FeedbackKind(kind)
    except ValueError as error:
        names = ", ".join(FeedbackKind)
        raise InvalidInput("kind", f"{kind!r} is not one of {names}") from error
