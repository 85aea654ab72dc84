"""A training run: `cycle.py` says what happens, in order; the other files say how each part of it is done.

A new kind of policy is one file with a `Learner` (see `learner.py`). `runner.py` starts and watches the process that
works on a run (`worker.py`), `schedule.py` decides when.
"""
