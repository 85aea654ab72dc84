"""Making deleted rows unreadable in an SQLite file."""

from __future__ import annotations

import sqlite3


def scrub_file(connection: sqlite3.Connection) -> bool:
    """Rewrite the file without what deleted rows left in it; return False if a reader kept it from finishing.

    `secure_delete` overwrites deleted rows, but not the stale copies that b-tree pages keep when rows move to a
    neighbour page, so the file is rewritten; then the write-ahead log, which has all of it as it was before, is
    emptied. Writers wait meanwhile. Takes up to twice the file's size of disk: beside it and in the folder for
    temporary files (not in memory, as other temporary data).
    """
    connection.execute("PRAGMA temp_store = FILE").close()
    try:
        connection.execute("VACUUM").close()
    finally:
        connection.execute("PRAGMA temp_store = MEMORY").close()
    busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy
