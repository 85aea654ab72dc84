"""Policy improvement by PPO: `advantages`, `losses` and `kl` are the mathematics, one file a kind runs the loop.

A new kind of policy brings one loop file; a baseline to compare with goes into `baselines`.
"""
