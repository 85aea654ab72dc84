"""First policies from a user's own text: `corpus` reads data files, `tokenizer` and one file a kind train.

A new kind of policy gets one training file here.
"""
