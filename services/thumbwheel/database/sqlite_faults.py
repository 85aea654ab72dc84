"""What SQLite's result codes mean to a caller: what happened, the cure, and when to try again."""

from __future__ import annotations

import sqlite3

from thumbwheel.database.faults import Fault

_FAULTS = {
    sqlite3.SQLITE_FULL: Fault("the disk, or the size it is bounded to, is full; free some space", 5.0),
    sqlite3.SQLITE_IOERR: Fault("the disk reports an error; check the disk and its free space", 5.0),
    sqlite3.SQLITE_READONLY: Fault("it can not be written; make the file and its folder writable", 5.0),
    sqlite3.SQLITE_CANTOPEN: Fault("it can not be opened; check that its folder exists and is writable", 5.0),
    sqlite3.SQLITE_PERM: Fault("it may not be opened; check the permissions of the file and its folder", 5.0),
    sqlite3.SQLITE_BUSY: Fault("another process keeps it locked", 0.5),
    sqlite3.SQLITE_LOCKED: Fault("another connection keeps it locked", 0.5),
    sqlite3.SQLITE_CORRUPT: Fault("the file is damaged; restore it from a backup", 60.0),
    sqlite3.SQLITE_NOTADB: Fault("the file is not a database; restore it or move it away", 60.0),
}
_PRIMARY_CODE = 0xFF  # the low byte; the rest says more of the same condition


def fault(error: BaseException) -> Fault | None:
    """Return what `error` says of disk or file, or None when it is about something else."""
    code = getattr(error, "sqlite_errorcode", None)
    return _FAULTS.get(code & _PRIMARY_CODE) if code is not None else None
