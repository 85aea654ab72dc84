"""A PostgreSQL connection: its pool and timeouts, and how transactions begin.

One transaction writes at a time, held back by an advisory lock of the database, as SQLite's write lock holds it. What
is read inside stays true until the commit, so nothing can conflict or deadlock, sequences become visible in their
order, and a vote can not miss an answer that another worker is just storing. A writer that stops half way (frozen,
or cut off from the network) is ended after `IDLE_S`, its transaction is rolled back, and it is fenced when it wakes.
Between its statements the server ends it; between messages of one COPY or one pipeline, as many rows are sent, no limit
of the server counts, and whoever waits for the lock in vain ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from thumbwheel.database.transactions import BARE, READ_ONLY
from thumbwheel.errors import InvalidConfig

if TYPE_CHECKING:
    import psycopg

CONNECT_S = 5
STATEMENT_S = 60
LOCK_S = 10
IDLE_S = 30
LOST_S = 15  # a server that is cut off, or gone without a word, is given up after so long

POOL_SIZE = 10
_OWN = ("pool_size", "statement_timeout_s")  # in the query of a URL, for us and not for the driver
_POOL_WAIT_S = 10.0
_RECYCLE_S = 1_800

_LIMITS = (
    ("statement_timeout", STATEMENT_S),
    ("lock_timeout", LOCK_S),
    ("idle_in_transaction_session_timeout", IDLE_S),
)
_DRIVER = {
    "connect_timeout": CONNECT_S,
    "application_name": "thumbwheel",
    # Else the system's: hours for a connection that waits for an answer, a quarter of one for what was sent in vain.
    "tcp_user_timeout": LOST_S * 1_000,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
_WRITER_LOCK = 0x7468756D62
_END_FROZEN = f"""
SELECT pg_terminate_backend(pid)
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND classid = {_WRITER_LOCK >> 32} AND objid = {_WRITER_LOCK & 0xFFFFFFFF}
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND wait_event = 'ClientRead'
  AND current_setting('idle_in_transaction_session_timeout') <> '0'
  AND state_change < clock_timestamp() - current_setting('idle_in_transaction_session_timeout')::interval
"""
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# READ COMMITTED: every statement after the lock sees what the writer before committed. One message, one round trip.
_WRITE = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock({_WRITER_LOCK})"
# `off` would answer before the commit is on the disk; anything stronger than `on` is the operator's wish.
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"


def postgres_engine(url: URL) -> Engine:
    """Return an engine for a server. What the URL says of timeouts and options wins over what is set here.

    Raises InvalidConfig for a `pool_size` or `statement_timeout_s` in it that is no number.
    """
    engine = create_engine(
        driver_url(url).set(drivername="postgresql+psycopg"),
        connect_args=_connect_args(url),
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=int(_number(url, "pool_size", POOL_SIZE)),
        max_overflow=0,
        pool_timeout=_POOL_WAIT_S,
        pool_recycle=_RECYCLE_S,
        use_native_hstore=False,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def driver_url(url: URL) -> URL:
    """Return a URL without what is in it for us alone."""
    return url.difference_update_query(_OWN)


def take_time(connection: Connection) -> None:
    """Let the statements of this transaction take as long as they need (not their waiting for locks)."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _connect_args(url: URL) -> dict[str, str]:
    statement_s = _number(url, "statement_timeout_s", STATEMENT_S)
    settings = {**dict(_LIMITS), "statement_timeout": statement_s}
    limits = " ".join(f"-c {name}={round(seconds * 1_000)}ms" for name, seconds in settings.items())
    given = url.query.get("options", "")
    options = given if isinstance(given, str) else " ".join(given)
    return {
        **{name: str(url.query.get(name, value)) for name, value in _DRIVER.items()},
        "options": f"{limits} {options}".strip(),
    }


def _number(url: URL, name: str, default: float) -> float:
    try:
        return float(str(url.query.get(name, default)))
    except ValueError:
        raise InvalidConfig("database.url", f"{name} is no number; leave it out or write one") from None


def _prepare(connection: psycopg.Connection, _record: Any) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise InvalidConfig("database.url", f"the database has the encoding {encoding}; make one with ENCODING 'UTF8'")
    connection.autocommit = True  # the driver begins no transactions of its own: `_begin` does
    connection.execute(_DURABLE)


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get(BARE, False):
        return
    try:
        connection.exec_driver_sql(_READ if options.get(READ_ONLY, False) else _WRITE).close()
    except OperationalError as error:
        if _waited_in_vain(error):
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql(_END_FROZEN)
        raise


def _waited_in_vain(error: OperationalError) -> bool:
    from psycopg.errors import LockNotAvailable

    return isinstance(error.orig, LockNotAvailable)
