"""Policies as tensors see them: prompt -> token ids -> log-probabilities. ONE copy, used by serving and by PPO.

`prompt`, `scoring` and `loading` are for causal language models, `classify` for sequence classifiers, `tag` for token
classifiers, whose words are `words` and whose tags are read by `bio`.
A new kind of policy gets one file here.
"""
