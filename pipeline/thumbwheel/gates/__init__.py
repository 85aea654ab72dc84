"""The gates: what a candidate must show before users meet it.

`judge.py` lists the gates of each kind of policy in order. A new gate is one file here (a class with a name, a rule, a
unit, a `why`, the setting of its threshold, a cure and a pure `check` on plain evidence) and one line in that list.
"""
