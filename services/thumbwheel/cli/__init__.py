"""The one console script: `main.py` finds the commands, one file each; nothing heavy is imported before it is used."""
