"""Policies as tensors see them: prompt -> token ids -> log-probabilities. ONE copy, used by serving and by PPO.

`prompt` and `scoring` are for causal language models, `classify` for sequence classifiers, `loading` for both.
A new kind of policy gets one file here.
"""
