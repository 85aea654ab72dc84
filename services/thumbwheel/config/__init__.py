"""One frozen configuration object a process: `settings.py` has the fields, `load.py` where values come from."""
