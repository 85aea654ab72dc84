"""Snapshots: immutable copies of rated answers, split into what trains and what judges.

One noun a file: a new field of a row goes to `rows.py`, a new rule of what is taken to `freeze.py`.
"""
