"""From text to tokens to log-probabilities: one copy of scoring, used by serving and by PPO.

One file a kind of policy or a step on that way; a new kind brings its scoring here.
"""
