"""What the service says of itself: `metrics.py` is the catalogue of metrics, `logging.py` the logs.

A new metric is one more entry of the catalogue, with its meaning and its cure.
"""
