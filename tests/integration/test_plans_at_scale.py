"""With many rows every query of pages, freeze, status, ingest, erasure and retention finds them by an index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from filled_store import fill
from query_plans import fill_others, planned, use_everything, whole
from sqlalchemy import Engine

from thumbwheel.database.engine import connect
from thumbwheel.database.schema import SLICED
from thumbwheel.store.sql import SqlStore

pytestmark = pytest.mark.slow

ANSWERS = 50_000


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    on_file = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'store.sqlite'}" if on_file else request.getfixturevalue("postgres_url")
    fill(url, ANSWERS, slice_days=90)
    made = connect(url)
    fill_others(made)
    yield made
    made.dispose()


def test_no_query_reads_a_whole_table_that_grows(engine: Engine) -> None:
    with planned(engine) as plans:
        use_everything(SqlStore(engine))
    looked_at = {step.split(":")[0].split()[-1] for step, _ in plans}
    assert looked_at >= {table.name for table in SLICED} | {"orphans", "dead_letters", "audit"}
    assert len({statement for _, statement in plans}) > 40
    assert whole(plans) == ""
