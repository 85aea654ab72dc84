"""The report of a run on paper, printed by a real browser."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from importlib import resources

import pytest
from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

COLOURS = {"heading": "1 0 0 rg", "end of the paragraph": "0 1 0 rg", "first row": "0 0 1 rg"}
PAGE = """<style>{css}</style>
<div style="height: {filled}px"></div>
<section>
<h2 style="color: #f00">Gates</h2>
<p class="soft">{words} <span style="color: #0f0">end</span></p>
<table class="gates"><thead><tr><th>Gate</th></tr></thead><tbody>
<tr><td><p style="color: #00f">first</p><p>why</p></td></tr>
<tr><td><p>second</p></td></tr>
</tbody></table>
</section>"""


def sheets_with_text(pdf: bytes) -> Iterator[bytes]:
    """What is drawn on each sheet that has text, in order."""
    for found in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            drawn = zlib.decompress(found[1])
        except zlib.error:
            continue
        if b" Tf" in drawn:
            yield drawn


@pytest.mark.parametrize("filled", range(780, 1000, 20))
def test_a_heading_stays_with_its_paragraph_and_the_first_row(chromium: Browser, filled: int) -> None:
    css = (resources.files("thumbwheel.retrain.report") / "report.css").read_text(encoding="utf-8")
    page = chromium.new_page()
    page.set_content(PAGE.format(css=css, filled=filled, words="All must pass. " * 60))
    sheets = list(sheets_with_text(page.pdf(format="A4")))
    page.close()
    found = {
        part: [place for place, drawn in enumerate(sheets) if colour.encode() in drawn]
        for part, colour in COLOURS.items()
    }
    assert len({tuple(places) for places in found.values()}) == 1 and found["heading"], found
