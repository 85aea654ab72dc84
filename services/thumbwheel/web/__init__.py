"""Pages for users and operators, /metrics and /healthz.

One file a route group (`ask.py`, `votes.py`, `operate.py`, `report.py`, `probes.py`), what they use in `deps.py`,
what guards them in `visitor.py`, `guard.py`, `fields.py`, `headers.py` and `problems.py`. Templates and static files
lie beside, without a build step. A new page is a file with a `routes` function, named in `app.py`.
"""
