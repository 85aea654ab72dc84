"""One frozen configuration a process: `sections/` has the fields, `settings.py` the whole, `load.py` the sources."""
