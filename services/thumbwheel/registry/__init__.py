"""Versions of policies, their files and digests, and the channels that point at them.

`port.py` is the contract; an adapter (where versions and pointers are kept) is a file beside `sql.py` and passes
`tests/contract/registry`.
"""
