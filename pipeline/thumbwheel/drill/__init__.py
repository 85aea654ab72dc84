"""Drills: what must not reach users is made on purpose, put through the real steps of a run, and must be stopped.

`poison*`: logs that some of the raters falsify.
"""
