"""What users like, learned from their votes: `fit` a `RewardModel`, `calibration` says how far to believe it.

Another kind of feedback becomes `RatedReply` targets in `rated_reply`; another loss goes beside the one in `fit`.
"""
