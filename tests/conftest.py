"""For the whole run: a Kafka broker, a PostgreSQL server, an S3 gateway and Ray Train for the tests that ask for one.

And a thread that a test left behind must not keep the run from ending, nor stay unnoticed.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from typing import NoReturn

import kafka_server
import pytest
import s3_server
import scaled_service
from hypothesis import HealthCheck, settings
from postgres_server import CURE, PostgresServer, find_binaries, running_server
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_RAY = "_ray"
_status = pytest.StashKey[int]()

# How fast examples are drawn, and run, says how busy the machine is, and nothing about the code.
settings.register_profile("thumbwheel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("thumbwheel")


def _missing(server: str, cure: str) -> NoReturn:
    """Skip, saying what to do; fail where the server is demanded."""
    if server in os.environ.get("THUMBWHEEL_REQUIRE", ""):
        pytest.fail(cure)
    pytest.skip(cure)


@pytest.fixture(scope="session")
def kafka_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka_server.KafkaBroker]:
    found = kafka_server.libs()
    if found is None:
        _missing("kafka", kafka_server.CURE)
    with kafka_server.running_broker(found, tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def kafka_broker(kafka_session: kafka_server.KafkaBroker) -> kafka_server.KafkaBroker:
    """A real broker that runs, even if the test before has killed it. Topics of a test have a prefix of their own."""
    kafka_session.start()
    return kafka_session


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Deals tests out by the file, which shares what is costly to start; those that run a Ray all to one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return _RAY if _RAY in file else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"ray_serve", "ray_train"} & set(getattr(item, "fixturenames", ())) and _RAY not in item.path.name:
            raise pytest.UsageError(f"{item.path.name} runs a Ray: put {_RAY!r} into its name, see ByFile")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_status] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    left = [one.name for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    if left:
        # the interpreter would wait for them for ever
        print(f"left running by tests: {', '.join(left)}", file=sys.stderr)  # noqa: T201
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash.get(_status, 1))


@pytest.fixture
def mask_kept() -> Iterator[None]:
    """The mask of new files, which processes narrow, is put back."""
    before = os.umask(0o022)
    yield
    os.umask(before)
    gc.collect()


@pytest.fixture(scope="session")
def ray_serve() -> None:
    """Demand that Ray can serve here."""
    if not scaled_service.ray_can_serve():
        _missing("ray", scaled_service.CURE)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that all tests share."""
    binaries = find_binaries()
    if binaries is None:
        _missing("postgres", CURE)
    with running_server(binaries) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database of this test's own, with all tables and no rows."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def s3_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.S3Gateway]:
    found = s3_server.libs()
    if found is None:
        _missing("s3", s3_server.CURE)
    with s3_server.running_gateway(found, tmp_path_factory.mktemp("s3")) as gateway:
        yield gateway


@pytest.fixture
def s3_gateway(s3_session: s3_server.S3Gateway, monkeypatch: pytest.MonkeyPatch) -> s3_server.S3Gateway:
    """A real gateway that runs, even if the test before has killed it, and lets this process in."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    s3_session.start()
    return s3_session


@pytest.fixture(scope="session")
def ray_train() -> None:
    """Ray Train is installed: runs start a Ray of their own."""
    needs = ("ray", "pandas", "pyarrow")
    if missing := [name for name in needs if find_spec(name) is None]:
        _missing("ray", f"no Ray Train here ({', '.join(missing)}); get it with: pip install 'thumbwheel[train]'")
