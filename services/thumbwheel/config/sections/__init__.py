"""The sections of the configuration, each a file of its name. A new one also gets its line in `config/settings.py`."""
