"""A made-up help desk for demos, tests and benchmarks, and users who ask it and judge its answers.

`world` knows the truth (right intent, quality of a reply), `grammar/` holds its words. A new intent goes into the
grammar file of its theme.
"""
