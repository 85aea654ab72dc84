"""Migrations, run from code by `thumbwheel.database.migrate`. A new one goes into `versions/`, named by its number."""
