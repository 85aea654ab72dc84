"""What can be said of a vote without knowing its answer's text."""

import pytest

from thumbwheel.errors import InvalidInput
from thumbwheel.feedback import validate
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


def test_a_correction_of_the_right_sort_passes() -> None:
    validate.edit_fits(Edit(text="yes"), PolicyKind.GENERATE)
    validate.edit_fits(Edit(label="refund"), PolicyKind.CLASSIFY)
