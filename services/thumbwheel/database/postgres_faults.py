"""What PostgreSQL's error codes (SQLSTATE) mean to a caller: what happened, the cure, and when to try again."""

from __future__ import annotations

from thumbwheel.database.faults import Fault

AWAY = Fault(
    "it does not answer; start it, or mend host, port, database, user or password, or with TLS sslmode and sslrootcert",
    1.0,
)
_CONFLICT = Fault("another transaction was in the way and nothing was written", 0.5)

# By code, else by the first two characters, its class.
_FAULTS = {
    "08": AWAY,
    "28": Fault("it refuses the user; mend user or password in its settings", 10.0),
    "3D000": Fault("there is no database of that name; create it, or mend the name in its settings", 10.0),
    "25006": Fault("it is read-only, a standby perhaps; point database.url at the primary", 5.0),
    "25P03": Fault("it ended a transaction that stood still for too long", 1.0),
    "40": _CONFLICT,
    "42501": Fault("the user lacks a right; make it the owner of the database's tables", 10.0),
    "53": Fault("it is out of resources; free disk or memory, or allow more connections", 5.0),
    "53100": Fault("its disk is full; free some space", 5.0),
    "53300": Fault("it has no connection left; raise max_connections or run fewer processes", 2.0),
    "55P03": Fault("another process keeps it locked", 0.5),
    "57": Fault("it is stopping, starting, or was told to end the statement", 1.0),
    "57014": Fault("a statement took too long; look what loads the server", 5.0),
    "58": Fault("its disk reports an error; check the server's disk and its free space", 5.0),
    "XX001": Fault("a table is damaged; restore it from a backup", 60.0),
    "XX002": Fault("an index is damaged; rebuild it with REINDEX", 60.0),
}
_CLASS = 2


def fault(error: BaseException) -> Fault | None:
    """Return what `error` says of the server, or None when it is about something else or of another driver."""
    code = getattr(error, "sqlstate", None)
    if not isinstance(code, str):
        return None
    return _FAULTS.get(code) or _FAULTS.get(code[:_CLASS])
