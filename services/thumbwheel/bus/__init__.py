"""The event log. `port.py` is the contract, `codec.py` what a record's bytes are; a new adapter is one file here."""
