"""What a policy would have earned on logged answers, without serving it.

`estimators` turns a log into one term for each answer, `intervals` turns terms into bounds, `weights` says how far
the log can be trusted at all, `reward_table` predicts rewards for the estimators that want a prediction.
A new estimator is a function in `estimators` that returns terms.
"""
