"""Where the files of versions live: `port.py` is the contract, an adapter a file beside `local.py` and `remote.py`.

Every adapter passes `tests/contract/artifacts`; `opening.py` chooses one by the settings.
"""
