"""The report of a run: one self-contained HTML file for a busy person.

`data` says what a report can hold (everything but the names may be left out), `write` makes the file from the
template beside it, `plots` and `gate_bar` draw, `samples` picks the answers to show. A new section is a field in
`data` and a block in `report.html.j2`.
"""
