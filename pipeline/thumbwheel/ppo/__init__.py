"""Policy improvement by PPO: `advantages`, `losses` and `kl` are the mathematics, a folder a kind runs the loop.

A new kind of policy brings a folder with its `improve` and the baseline it is to be compared with. What two kinds
share stands here: the mathematics, the `checkpoint`, the `metrics` that are told.
"""
