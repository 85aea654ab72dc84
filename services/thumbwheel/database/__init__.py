"""The database under the store and the registry: engine, transactions, tables, migrations.

A new table goes into `schema.py` and a new file of `migrations/versions/`; what only one database can do stays here.
"""
