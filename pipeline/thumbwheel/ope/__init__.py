"""What a policy would have earned on logged answers, without serving it.

`estimators` turns a log into one term for each answer, `intervals` turns terms into bounds, `weights` says how far
the log can be trusted at all. Predictions of the reward, where an estimator wants them, are the caller's.
A new estimator is a function in `estimators` that returns terms.
"""
