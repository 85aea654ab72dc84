"""What can be said of a vote without knowing its answer's text."""

import pytest

from thumbwheel.errors import InvalidInput
from thumbwheel.feedback import validate
from thumbwheel.feedback.v1 import feedback_pb2 as pb
from thumbwheel.records import Edit, PolicyKind


@pytest.mark.parametrize(
    ("edit", "kind", "cure"),
    [
        (Edit(text="no"), PolicyKind.CLASSIFY, "set edit.label"),
        (Edit(label="refund"), PolicyKind.GENERATE, "set edit.text"),
        (Edit(tags=("O",)), PolicyKind.GENERATE, "set edit.text"),
        (Edit(text="no"), PolicyKind.TAG, "set edit.tags"),
    ],
)
def test_a_correction_must_be_of_the_answers_sort(edit: Edit, kind: PolicyKind, cure: str) -> None:
    with pytest.raises(InvalidInput, match=cure):
        validate.edit_fits(edit, kind)


def test_a_label_must_be_one_of_the_labels_and_some_are_named() -> None:
    labels = [f"label-{index}" for index in range(55)]
    validate.label_exists("label-54", labels)
    validate.label_exists("unknown", [])
    with pytest.raises(InvalidInput) as caught:
        validate.label_exists("label-55", labels)
    named = ", ".join(labels[:50])
    problem = f"is not a label of the version that answered; set one of: {named} and 5 more, which DescribePolicy lists"
    assert (caught.value.field, caught.value.problem) == ("edit.label", problem)
    with pytest.raises(InvalidInput, match="set one of: x{39}…, b$"):
        validate.label_exists("c", ["x" * 1000, "b"])


def test_tags_must_be_known_and_one_for_each_word() -> None:
    validate.tags_fit(("O", "B-city"), ("O", "B-city"), 2)
    for tags, words, field, problem in (
        (("O",), 2, "edit.tags", "must be one for each of the answer's 2 tokens, got 1"),
        (("O", "B-day"), 2, "edit.tags[1]", "is not a tag of the version that answered; set one of: O, B-city"),
    ):
        with pytest.raises(InvalidInput) as caught:
            validate.tags_fit(tags, ("O", "B-city"), words)
        assert (caught.value.field, caught.value.problem) == (field, problem)


def test_a_correction_of_the_right_sort_passes() -> None:
    validate.edit_fits(Edit(text="yes"), PolicyKind.GENERATE)
    validate.edit_fits(Edit(label="refund"), PolicyKind.CLASSIFY)
    validate.edit_fits(Edit(tags=("O",)), PolicyKind.TAG)


def test_a_comment_may_have_lines_and_tabs() -> None:
    assert validate.comment("one\r\n\ttwo \u4f60") == "one\r\n\ttwo \u4f60"


def test_a_corrected_text_may_have_lines_and_tabs_and_nothing_that_steers_a_terminal() -> None:
    def edit(text: str) -> Edit | None:
        return validate.read_opinion(pb.SubmitFeedbackRequest(edit=pb.Edit(text=text))).edit

    assert edit("one\r\n\ttwo") == Edit(text="one\r\n\ttwo")
    with pytest.raises(InvalidInput) as refused:
        edit("ab\x1b[2J")
    told = "edit.text: character 2 is U+001B, a control character; remove it"
    assert str(refused.value) == told
