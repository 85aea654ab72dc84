"""A version among users: what their thumbs say of it at any time, and what follows.

`evidence.py` is the mathematics, `decide.py` what follows from it, `watcher.py` who looks.
"""
