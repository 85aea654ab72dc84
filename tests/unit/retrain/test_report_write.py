"""The report: complete, self-contained, and harmless whatever users wrote."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import pytest

from thumbwheel.records import GateResult, PolicyKind, Verdict
from thumbwheel.retrain.report.data import Comparison, Curve, ReportData, RewardModelFit, Sample
from thumbwheel.retrain.report.samples import BEST, RANDOM, WORST, pick_samples
from thumbwheel.retrain.report.write import render, tell_outcome, write_report

EVIL = '<script>alert("x")</script>'
BARE = ReportData(policy="support", kind=PolicyKind.GENERATE, run_id="run-7", champion="v1", candidate="v2")


class Page(HTMLParser):
    """Collects what a browser would see: tags, addresses, ids, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._in_style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        self._in_style = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.text += data

    def all(self, name: str) -> list[str]:
        return [value for attribute, value in self.attributes if attribute == name]


@pytest.fixture
def full() -> ReportData:
    gates = (
        GateResult("kl_budget", False, 4.2, 3.0, 4.1, 4.3, "Diverges by 4.20 nats; up to 3 is allowed."),
        GateResult("rater_concentration", True, 0.01, 0.2, math.nan, math.nan, "100 raters gave 2,500 votes."),
        GateResult("win_rate", False, math.nan, 0.5, math.nan, math.nan, "There are only 3 held-out prompts."),
        GateResult("of_old_times", True, 1.0, 1.0, math.nan, math.nan, "A gate that is no more."),
    )
    baselines = {"$length$ & <co>": 0.55, "none": math.nan}
    return replace(
        BARE,
        verdict=Verdict(False, gates, "Keep the champion: 2 of 4 gates failed."),
        started_us=1_700_000_000_000_000,
        ended_us=1_700_000_125_000_000,
        votes_up=1_500,
        votes_down=1_000,
        per_rater={"abcdef0123456789": 25} | {f"rater{i:04d}": 25 for i in range(99)},
        comparisons=[
            Comparison("Reward", -0.02, 0.88, "", "higher"),
            Comparison("Win rate", 0.5, 0.43, "share", "higher"),
            Comparison("Latency", 0.1, 0.11, "s", "lower"),
            Comparison("Best of 8", 1.31, math.nan, note="It took <eight>."),
        ],
        curves=[
            Curve("KL", {"KL": [0.1, math.nan, 1.5]}, "nats a reply", limit=3.0, note="How far it has moved."),
            Curve("Clip fraction", {"policy": [0.1, 0.2], "value": [0.2, 0.1]}),
            Curve("Nothing measured", {"x": [math.nan, math.inf]}, note="Of nothing."),
        ],
        reward_model=RewardModelFit([1.0, 0.0] * 50, [0.8, 0.3] * 50, 0.83, baselines),
        samples=[Sample(EVIL, EVIL, "fine\nsecond line", 0.5, 1.25, "Largest gains"), Sample("p", "c", "d")],
        lineage={"parent": "v1", "note": EVIL},
        config={"learn.seed": 0, "gates.blocked_words": None},
        seeds={"run": 0},
        warnings=[f"Careful {EVIL}"],
    )


def test_everything_is_in_the_page(full: ReportData) -> None:
    text = Page(render(full)).text
    for part in (
        "support: v2 against v1",
        "Keep the champion: 2 of 4 gates failed.",
        "Gates passed2 of 4",
        "Thumbs up60%",
        "Took2 min 5 s",
        "2023-11-14 22:13 UTC",
        "Stays near the champion",
        "4.2 (4.1 to 4.3)",
        "at most 3 nats a reply",
        "There are only 3 held-out prompts.",
        "of_old_times",
        "The busiest 10 of 100 raters gave 10% of 2,500 votes.",
        "abcdef01",
        "$length$ & <co>",
        "v2 · +1.25",
        "learn.seed",
        "How far it has moved.",
    ):
        assert part in text, part
    assert "Of nothing." not in text


def test_the_comparison_says_what_is_better(full: ReportData) -> None:
    cells = re.sub(r"\s+", " ", Page(render(full)).text)
    assert "−0.02 0.88 +0.9 better" in cells
    assert "50% 43% −7 points worse" in cells
    assert "0.1 0.11 +0.01 worse" in cells
    assert "Best of 8 1.31 – – It took <eight>." in cells


def test_a_sample_that_says_what_was_measured_shows_no_bare_figures(full: ReportData) -> None:
    note = "voted: down on <b>lost</b>, p 0.97 → 0.01"
    noted = replace(full, samples=[Sample("p", "c", "d", -0.97, -0.01, note=note)], samples_text="p is the chance.")
    text = Page(render(noted)).text
    assert note in text and "p is the chance." in text
    assert "v1 · " not in text and "v2 · " not in text


def test_texts_of_users_stay_text(full: ReportData) -> None:
    page = Page(render(full))
    assert page.tags["script"] == 0
    assert page.text.count(EVIL) == 4
    assert "fine\nsecond line" in page.text


def test_nothing_is_fetched(full: ReportData) -> None:
    page = Page(render(full))
    assert page.all("src") == []
    assert all(address.startswith("#") for address in page.all("href") + page.all("xlink:href"))
    assert page.tags["link"] == page.tags["img"] == page.tags["iframe"] == 0
    assert "default-src 'none'" in " ".join(page.all("content"))
    styles = [value for _, value in page.attributes] + re.findall(r"<style>(.*?)</style>", render(full), re.DOTALL)
    assert all(address.startswith("#") for style in styles for address in re.findall(r"url\(([^)]*)", style))


def test_ids_are_unique(full: ReportData) -> None:
    ids = Page(render(full)).all("id")
    assert len(ids) == len(set(ids))


def test_the_contents_lead_to_every_section_in_its_order(full: ReportData) -> None:
    html = render(full)
    headings = re.findall(r'<h2 id="([^"]+)">([^<]+)</h2>', html)
    assert re.findall(r'<li><a href="#([^"]+)">([^<]+)</a></li>', html) == headings
    assert len(headings) == Page(html).tags["h2"] == 9


def test_a_report_of_one_section_has_no_contents() -> None:
    page = Page(render(replace(BARE, seeds={"run": 0})))
    assert (page.tags["h2"], page.tags["nav"]) == (1, 0)


def test_answers_come_before_the_charts_and_each_chart_says_what_to_look_for(full: ReportData) -> None:
    curve = Curve("KL", {"KL": [0.1, 1.5]}, look_for="It levels off.")
    page = Page(render(replace(full, curves=[curve], votes_text="3 votes taught, 1 of held-out users judged.")))
    assert page.text.index("Gates") < page.text.index("Answers side by side") < page.text.index("How it learned")
    for look_for in ("It levels off.", "Dots on the dashed line", "longer than the grey ones", "beyond the red line"):
        assert look_for in page.text
    assert "3 votes taught, 1 of held-out users judged." in page.text


def test_what_became_of_the_candidate_is_told_when_it_is_known(full: ReportData, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    tell_outcome(path, "nothing to tell it in")
    assert not path.exists()
    write_report(path, full)
    for outcome in ("The candidate became v2.", r"\1 <b> & v2"):
        tell_outcome(path, outcome)
        page = Page(path.read_text("utf-8"))
        assert page.text.count(outcome) == 1 and page.tags["b"] == 0
    assert "The candidate became v2." not in page.text


def test_curves_without_a_value_are_left_out(full: ReportData) -> None:
    page = Page(render(full))
    assert "Nothing measured" not in page.text
    assert page.tags["figure"] == 5


def test_a_gate_without_a_value_has_no_bar(full: ReportData) -> None:
    bars = [value for value in Page(render(full)).all("class") if value.startswith("bar ")]
    assert bars == ["bar failed", "bar passed", "bar passed"]


def test_a_bare_report_has_no_empty_sections() -> None:
    page = Page(render(BARE))
    assert "ended before its candidate was judged" in page.text
    assert page.tags["h2"] == page.tags["table"] == page.tags["figure"] == 0


def test_a_failed_run_is_reported_whatever_its_numbers_are() -> None:
    broken = replace(
        BARE,
        verdict=Verdict(False, (), "Keep the champion: too few votes."),
        per_rater={"nobody": 0},
        comparisons=[Comparison("Reward", math.inf, -math.inf, "", "higher")],
        curves=[Curve("Reward", {"reward": []}), Curve("KL", {"KL": [1.0]})],
        reward_model=RewardModelFit([math.nan, 1.0, 0.0], [0.5, math.nan, 0.2]),
        samples=[Sample("p", "c", "d", math.inf, math.nan)],
    )
    page = Page(render(broken))
    assert "Keep the champion: too few votes." in page.text
    assert "∞" in page.text
    assert page.tags["figure"] == 2


def test_a_reward_model_without_votes_has_no_plot() -> None:
    assert "The reward model" not in Page(render(replace(BARE, reward_model=RewardModelFit([], [])))).text


def test_a_reward_model_without_simpler_ones_beside_it_is_told_not_drawn() -> None:
    fit = RewardModelFit([1.0, 0.0] * 50, [0.8, 0.3] * 50, 0.83)
    alone = Page(render(replace(BARE, reward_model=fit)))
    assert alone.tags["figure"] == 1
    assert "AUC 0.83, where a coin has 0.50." in alone.text
    beside = Page(render(replace(BARE, reward_model=replace(fit, baselines={"length of the reply": 0.55}))))
    assert beside.tags["figure"] == 2
    assert "length of the reply" in beside.text


@pytest.mark.parametrize(("raters", "told"), [(98, "The busiest 10 of 98 raters gave 10% of 196 votes"), (4, "4 of 4")])
def test_the_raters_spoken_of_are_those_shown(raters: int, told: str) -> None:
    page = Page(render(replace(BARE, per_rater={f"rater{index:03}": 2 for index in range(raters)})))
    assert told in page.text
    assert sum(f"rater{index:03}" in page.text for index in range(raters)) == min(raters, 10)


def test_a_single_rater_is_told_not_drawn() -> None:
    page = Page(render(replace(BARE, per_rater={"only": 12})))
    assert "One rater gave all 12 votes." in page.text
    assert page.tags["figure"] == 0


def test_the_same_data_give_the_same_page(full: ReportData) -> None:
    assert render(full) == render(full)


def test_drawing_leaves_matplotlib_as_it_was(full: ReportData) -> None:
    before = dict(mpl.rcParams)
    render(full)
    assert dict(mpl.rcParams) == before


def test_at_most_twenty_samples_show(full: ReportData) -> None:
    many = replace(full, samples=[Sample(f"p{i}", "c", "d") for i in range(50)])
    assert Page(render(many)).tags["article"] == 20


def test_a_long_text_is_cut(full: ReportData) -> None:
    text = Page(render(replace(full, samples=[Sample("x" * 5_000, "c", "d")]))).text
    assert "x" * 1_200 + " …" in text
    assert "x" * 1_201 not in text


def test_the_file_is_written_whole(full: ReportData, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(path, full)
    assert path.read_text(encoding="utf-8") == render(full)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_samples_are_the_best_the_worst_and_some_by_lot() -> None:
    samples = [Sample(str(i), "c", "d", 0.0, float(i - 50)) for i in range(101)]
    picked = pick_samples(samples, seed=3, each=4)
    assert [s.prompt for s in picked if s.group == BEST] == ["100", "99", "98", "97"]
    assert [s.prompt for s in picked if s.group == WORST] == ["0", "1", "2", "3"]
    assert len({s.prompt for s in picked}) == len(picked) == 12
    assert picked == pick_samples(samples, seed=3, each=4)
    assert picked != pick_samples(samples, seed=4, each=4)


def test_a_loss_is_never_shown_as_a_gain() -> None:
    picked = pick_samples([Sample("worse", "c", "d", 1.0, 0.0), Sample("same", "c", "d", 1.0, 1.0)], seed=0)
    assert [(s.prompt, s.group) for s in picked] == [("worse", WORST), ("same", RANDOM)]


def test_samples_without_scores_are_drawn_at_random() -> None:
    picked = pick_samples([Sample(str(i), "c", "d") for i in range(9)], seed=0, each=6)
    assert [s.group for s in picked] == [RANDOM] * 6
