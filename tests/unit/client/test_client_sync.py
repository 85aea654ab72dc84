"""The blocking client against a scripted service over real gRPC."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc
import pytest

from thumbwheel import errors
from thumbwheel.client import Client
from thumbwheel.client.answers import TaggedWord
from thumbwheel.client.retry import RetryPolicy
from thumbwheel.feedback.v1 import feedback_pb2 as fb
from thumbwheel.records import Message, PolicyKind

if TYPE_CHECKING:
    from tests.unit.client.conftest import Script

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
QUICK = RetryPolicy(attempts=3, first_s=0.001, most_s=0.01)


@pytest.fixture
def client(target: str) -> Iterator[Client]:
    with Client(target, timeout_s=20, retry=QUICK) as client:
        yield client


def test_a_classification_says_label_probabilities_and_version(client: Client, script: Script) -> None:
    answer = client.classify("where is it", "desk", user="alice", greedy=True, request_id="mine")
    assert (answer.label, answer.version, answer.response_id) == ("lost", "v3", "r1")
    assert dict(answer.probabilities) == {"lost": 0.75, "other": 0.0}
    assert (answer.receipt.digest, answer.receipt.channel) == ("sha256:ab", "champion")
    (request,) = script.requests
    assert (request.text, request.policy, request.user.id) == ("where is it", "desk", "alice")
    assert (request.request_id, request.greedy) == ("mine", True)


def test_tags_come_word_by_word_of_a_text_or_of_words(client: Client, script: Script) -> None:
    answer = client.tag("to Rome", "places", user="alice", greedy=True, request_id="mine")
    assert answer.tags == ("O", "B-city")
    assert answer.words[1] == TaggedWord("Rome", "B-city", 3, 7, 0.5)
    client.tag(["to", "Rome"])
    text, words = script.requests
    assert (text.text, list(text.tokens), text.policy, text.user.id) == ("to Rome", [], "places", "alice")
    assert (text.request_id, text.greedy) == ("mine", True)
    assert (words.text, list(words.tokens)) == ("", ["to", "Rome"])
    with pytest.raises(errors.InvalidInput, match="at least one"):
        client.tag([])


def test_tags_are_corrected_word_by_word(client: Client, script: Script) -> None:
    answer = client.tag("to Rome", user="alice")
    answer.correct(tags=["O", "O"], comment="not that Rome")
    answer.thumbs_down()
    edited, down = script.requests[1:]
    assert list(edited.edit.tags.tags) == ["O", "O"]
    assert (edited.comment, edited.feedback_token, edited.user_id) == ("not that Rome", "token-of-r1", "alice")
    assert down.thumb == fb.THUMB_DOWN
    with pytest.raises(errors.InvalidInput, match="a list of strings"):
        answer.correct(tags="O O")


def test_what_is_not_said_is_not_sent(client: Client, script: Script) -> None:
    client.classify("hi")
    client.generate("hi")
    assert not script.requests[0].HasField("user") and not script.requests[0].HasField("greedy")
    assert not script.requests[1].HasField("sampling") and script.requests[1].n == 1


def test_every_call_has_a_deadline(client: Client, script: Script) -> None:
    client.classify("hi")
    client.classify("hi", timeout_s=3).thumbs_up()
    assert 3 < script.remaining_s[0] <= 20.5
    assert script.remaining_s[1] <= 3.5
    assert 3.5 < script.remaining_s[2] <= 20.5


def test_votes_carry_answer_token_and_user(client: Client, script: Script) -> None:
    answer = client.classify("hi", user="alice")
    ids = [answer.thumbs_up("nice", ["quick"]), answer.thumbs_down(), answer.rate(4), answer.correct("other")]
    up, down, rated, edited = script.requests[1:]
    for sent, feedback_id in zip((up, down, rated, edited), ids, strict=True):
        assert (sent.response_id, sent.feedback_token, sent.user_id) == ("r1", "token-of-r1", "alice")
        assert sent.feedback_id == feedback_id == str(uuid.UUID(feedback_id))
    assert len(set(ids)) == 4
    assert (up.thumb, up.comment, list(up.reasons)) == (fb.THUMB_UP, "nice", ["quick"])
    assert (down.thumb, rated.rating, edited.edit.label) == (fb.THUMB_DOWN, 4, "other")


def test_votes_of_every_kind_carry_comment_and_reasons(client: Client, script: Script) -> None:
    label, texts = client.classify("hi"), client.generate("hi", n=2)
    said = ("why", ["wrong", "too-long"])
    votes = [label.thumbs_up, label.thumbs_down, texts.thumbs_up, texts.thumbs_down]
    for give in votes:
        give(*said)
    label.rate(2, *said)
    texts.rate(2, *said)
    label.correct("other", *said)
    label.correct_label("other", *said)
    texts.correct("better", *said)
    texts.first.correct("better", *said)
    texts.first.correct_text("better", *said)
    texts.rank(texts.candidates, *said)
    client.rank(texts.candidates, *said)
    sent = script.requests[2:]
    assert [(one.comment, list(one.reasons)) for one in sent] == [said] * 13


def test_a_vote_is_taken_back_by_kind(client: Client, script: Script) -> None:
    client.classify("hi", user="alice").retract("rating")
    sent = script.requests[-1]
    assert (sent.kind, sent.response_id, sent.user_id) == (fb.FEEDBACK_KIND_RATING, "r1", "alice")
    with pytest.raises(errors.InvalidInput, match="kind: 'stars' is not one of thumb, rating, ranking, edit"):
        client.classify("hi").retract("stars")


def test_a_ballot_rates_an_answer_received_elsewhere(client: Client, script: Script) -> None:
    client.ballot("r9", "its-token", "bob").thumbs_down()
    sent = script.requests[-1]
    assert (sent.response_id, sent.feedback_token, sent.user_id) == ("r9", "its-token", "bob")


def test_an_unlogged_answer_can_not_be_rated(client: Client, script: Script) -> None:
    script.logged = False
    answer = client.classify("hi")
    with pytest.raises(errors.Conflict, match="could not be logged"):
        answer.thumbs_up()
    assert len(script.requests) == 1


def test_a_generation_has_candidates_and_sampling_is_sent(client: Client, script: Script) -> None:
    generation = client.generate("hi", "chat", n=2, temperature=0.5, top_k=3, stop=["\n"], max_new_tokens=9)
    assert [one.text for one in generation.candidates] == ["hello you", "go away"]
    assert (generation.text, generation.version, generation.first.finish_reason) == ("hello you", "v3", "stop")
    (request,) = script.requests
    assert (request.prompt, request.policy, request.n) == ("hi", "chat", 2)
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_k, list(sampling.stop)) == (0.5, 3, ["\n"])
    assert sampling.max_new_tokens == 9
    assert not sampling.HasField("top_p") and not sampling.HasField("greedy")


def test_a_conversation_is_sent_turn_by_turn(client: Client, script: Script) -> None:
    client.generate([Message("user", "hi"), Message("assistant", "yes?")])
    turns = [(turn.role, turn.content) for turn in script.requests[0].conversation.messages]
    assert turns == [("user", "hi"), ("assistant", "yes?")]


def test_turns_may_be_dicts(client: Client, script: Script) -> None:
    client.generate([{"role": "user", "content": "hi"}, Message("assistant", "yes?")])
    turns = [(turn.role, turn.content) for turn in script.requests[0].conversation.messages]
    assert turns == [("user", "hi"), ("assistant", "yes?")]


def test_sampling_that_is_none_is_not_sent(client: Client, script: Script) -> None:
    client.generate("hi", temperature=None, stop=None, top_p=1)  # type: ignore[arg-type]
    sampling = script.requests[0].sampling
    assert not sampling.HasField("temperature") and (list(sampling.stop), sampling.top_p) == ([], 1.0)


def test_candidates_are_ranked_with_their_own_tokens(client: Client, script: Script) -> None:
    generation = client.generate("hi", n=2, user="alice")
    first, second = generation.candidates
    generation.rank([second, first])
    sent = script.requests[-1]
    assert [(one.response_id, one.feedback_token) for one in sent.ranking.best_first] == [
        ("r1", "token-of-r1"),
        ("r2", "token-of-r2"),
    ]
    assert (sent.response_id, sent.feedback_token, sent.user_id) == ("r1", "token-of-r1", "alice")
    generation.retract("ranking")
    assert script.requests[-1].response_id == "r1"
    generation.correct("hello, you")
    assert (script.requests[-1].response_id, script.requests[-1].edit.text) == ("r2", "hello, you")


def test_policies_are_described(client: Client) -> None:
    (desk,) = client.describe()
    assert (desk.policy, desk.kind, desk.labels) == ("desk", PolicyKind.CLASSIFY, ("lost", "other"))
    assert (desk.served[0].version, desk.max_input_tokens, desk.probability_floor) == ("v3", 128, 0.5)


def test_a_stream_yields_pieces_and_ends_in_a_generation(client: Client, script: Script) -> None:
    script.say("hel", "lo")
    stream = client.stream("hi", user="alice")
    assert [(piece, piece.candidate) for piece in stream] == [("hel", 0), ("lo", 0)]
    answer = stream.generation()
    assert (answer.text, answer.version, answer.first.finish_reason) == ("hello", "v3", "length")
    assert (answer.first.prompt_tokens, answer.first.completion_tokens) == (7, 2)
    answer.thumbs_up()
    assert (script.requests[-1].response_id, script.requests[-1].user_id) == ("r0", "alice")


def test_a_stream_of_two_candidates_keeps_them_apart(client: Client, script: Script) -> None:
    script.say("a", candidate=1)
    script.say("b", "c", candidate=0)
    generation = client.stream("hi", n=2).generation()
    assert [(one.text, one.response_id) for one in generation.candidates] == [("bc", "r0"), ("a", "r1")]


def test_a_stream_that_breaks_is_not_tried_again(client: Client, script: Script) -> None:
    script.say("hel", finish=False)
    script.break_stream(UNAVAILABLE)
    stream = client.stream("hi")
    assert next(stream) == "hel"
    with pytest.raises(errors.Unavailable):
        next(stream)
    assert len(script.requests) == 1


def test_a_stream_that_never_began_is_tried_again(client: Client, script: Script) -> None:
    script.refuse(UNAVAILABLE)
    script.say("hello")
    assert client.stream("hi").generation().text == "hello"
    assert len(script.requests) == 2


def test_a_stream_that_ends_early_is_no_answer(client: Client, script: Script) -> None:
    script.say("hel", finish=False)
    with pytest.raises(errors.Unavailable, match="ended before the answer did"):
        client.stream("hi").generation()


def test_leaving_a_stream_cancels_the_call(client: Client, script: Script) -> None:
    script.say("hel", "lo")
    with client.stream("hi") as stream:
        assert next(stream) == "hel"
    with pytest.raises(errors.ThumbwheelError, match="CANCELLED"):
        list(stream)


def test_a_vote_is_sent_again_with_the_same_id(client: Client, script: Script) -> None:
    answer = client.classify("hi")
    script.refuse(UNAVAILABLE)
    script.refuse(EXHAUSTED, retry_after_ms=2)
    feedback_id = answer.thumbs_up()
    assert [sent.feedback_id for sent in script.requests[1:]] == [feedback_id] * 3


def test_a_full_queue_is_not_pressed_by_asking_again(client: Client, script: Script) -> None:
    script.refuse(EXHAUSTED, "the queue is full", retry_after_ms=250)
    with pytest.raises(errors.Overloaded, match="the queue is full") as caught:
        client.classify("hi")
    assert caught.value.retry_after_s == 0.25
    assert len(script.requests) == 1


def test_asking_is_tried_again_while_the_service_is_away(client: Client, script: Script) -> None:
    script.refuse(UNAVAILABLE)
    assert client.classify("hi").label == "lost"
    assert len(script.requests) == 2


def test_tries_are_bounded(client: Client, script: Script) -> None:
    for _ in range(5):
        script.refuse(UNAVAILABLE, "draining")
    with pytest.raises(errors.Unavailable, match="draining"):
        client.classify("hi")
    assert len(script.requests) == 3


def test_a_hint_beyond_the_deadline_ends_the_tries(client: Client, script: Script) -> None:
    script.refuse(UNAVAILABLE, retry_after_ms=900)
    with pytest.raises(errors.Unavailable) as caught:
        client.classify("hi", timeout_s=0.5)
    assert caught.value.retry_after_s == 0.9
    assert len(script.requests) == 1


def test_a_service_that_is_not_there_is_unavailable() -> None:
    once = RetryPolicy(attempts=1)
    with Client("127.0.0.1:9", timeout_s=5, retry=once) as client, pytest.raises(errors.Unavailable):
        client.describe()


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda client: client.classify("\ud800"), "text"),
        (lambda client: client.generate("a\ud800"), "prompt"),
        (lambda client: client.generate([Message("user", "\ud800")]), "messages[0].content"),
        (lambda client: client.ballot("r", "t").thumbs_up("\ud800"), "comment"),
        (lambda client: client.ballot("r", "t").correct_text("\ud800"), "text"),
        (lambda client: client.ballot("r", "t").rate(2**40), "rating"),
        (lambda client: client.generate("hi", n=2**40), "n"),
        (lambda client: client.generate("hi", top_k=-(2**40)), "sampling.top_k"),
        (lambda client: client.generate("hi", max_new_tokens=2**31), "sampling.max_new_tokens"),
        (lambda client: client.generate("hi", stop=["a", "\ud800"]), "sampling.stop[1]"),
        (lambda client: client.generate("hi", "\ud800"), "policy"),
        (lambda client: client.ballot("\ud800", "t").thumbs_up(), "response_id"),
        (lambda client: client.ballot("r", "\ud800").thumbs_up(), "feedback_token"),
        (lambda client: client.ballot("r", "t", user="\ud800").thumbs_up(), "user_id"),
        (lambda client: client.ballot("r", "t", user="\ud800").retract("thumb"), "user_id"),
        (lambda client: client.rank([]), "ranking"),
    ],
)
def test_what_the_contract_can_not_carry_is_refused_here(call, field: str, client: Client, script: Script) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(errors.InvalidInput) as caught:
        call(client)
    assert caught.value.field == field
    assert script.requests == []


def test_a_token_is_not_shown(client: Client) -> None:
    answer = client.classify("hi")
    assert answer.receipt.token == "token-of-r1"
    assert answer.response_id in repr(answer) and "token-of-r1" not in repr(answer)
