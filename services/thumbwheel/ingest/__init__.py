"""From the log into the store: `worker.py` runs, `steps.py` are its small steps."""
