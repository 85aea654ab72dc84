"""The feedback store. `port.py` is the contract, `sql.py` the SQL adapter; its statements are in one file a noun."""
