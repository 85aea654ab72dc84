"""What a policy would have earned on logged answers, without serving it.

`estimators` turns a log into one term for each answer; `intervals` and `bounded` turn terms into bounds; `weights` says
how far the log can be trusted at all; `outcome_model` predicts the rewards that some estimators want, no vote's own
among what it was fitted on. A new estimator is a function in `estimators` that returns terms.
"""
