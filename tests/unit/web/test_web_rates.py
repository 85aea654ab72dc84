"""Rates and figures."""

from __future__ import annotations

import math

import pytest

from thumbwheel.web.formats import duration, figure, iso, moment, percent, short_digest
from thumbwheel.web.rates import thumbs_up_rate


def test_the_wilson_interval_of_a_textbook_case() -> None:
    # 8 of 10: centre (0.8 + z^2/20) / (1 + z^2/10), z^2 = 3.8415
    rate = thumbs_up_rate(8, 2)
    assert rate is not None
    assert (rate.value, rate.thumbs) == (0.8, 10)
    assert rate.low == pytest.approx(0.490162, abs=1e-6)
    assert rate.high == pytest.approx(0.943318, abs=1e-6)


def test_the_interval_solves_its_defining_equation() -> None:
    rate = thumbs_up_rate(37, 12)
    assert rate is not None
    for bound in (rate.low, rate.high):
        score = (rate.value - bound) / math.sqrt(bound * (1 - bound) / 49)
        assert abs(score) == pytest.approx(1.959964, abs=1e-6)


@pytest.mark.parametrize("thumbs", [1, 3, 1000])
def test_a_unanimous_vote_is_not_certainty(thumbs: int) -> None:
    # The interval has a closed form here: n / (n + z^2) .. 1
    praised, blamed = thumbs_up_rate(thumbs, 0), thumbs_up_rate(0, thumbs)
    assert praised is not None and blamed is not None
    assert [praised.low, praised.high] == pytest.approx([thumbs / (thumbs + 3.8414588), 1.0])
    assert [blamed.low, blamed.high] == pytest.approx([0.0, 1 - praised.low], abs=1e-12)


def test_no_thumb_is_no_rate() -> None:
    assert thumbs_up_rate(0, 0) is None


def test_figures_as_people_read_them() -> None:
    assert (percent(0.71349), percent(math.nan)) == ("71.3\u202f%", "–")
    small = [figure(value) for value in (0.07836, 0.004631, 1.234567, 12, 0.0, -0.03, math.nan)]
    assert small == ["0.0784", "0.00463", "1.23", "12", "0", "-0.03", "–"]
    assert [figure(value) for value in (999.4, 999.6, 12850.4, -2424.0)] == ["999", "1,000", "12,850", "-2,424"]
    assert [duration(us) for us in (-1, 4_000_000, 200_000_000, 7_500_000_000)] == [
        "0 s",
        "4 s",
        "3 min 20 s",
        "2 h 5 min",
    ]
    assert (iso(1_700_000_000_000_000), moment(0)) == ("2023-11-14T22:13:20Z", "1970-01-01 00:00 UTC")
    assert short_digest("sha256:0123456789abcdef") == "0123456789"
