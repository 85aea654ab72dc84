"""Drills: what must not reach users is made on purpose and let loose on the judge and the canary, to see it stopped.

`planted/` has the bad policies, a file for each sort; `planted_drill.py` runs them and says where each was stopped.
`poison*`: logs that some of the raters falsify, put through the real steps of a run.
"""
