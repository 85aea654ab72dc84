"""PPO for `generate`: replies sampled afresh (`rollout`), scored, and stepped on; `improve` is the loop.

Another term of the loss goes beside `liked`; another method to compare with into `baselines`.
"""
