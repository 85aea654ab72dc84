"""A service in a home, for `test_move.py`: it stores an answer to a text, with its vote, and is killed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from answered import answer_and_vote

from thumbwheel.bus.codec import to_log
from thumbwheel.bus.source import Source
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Settings
from thumbwheel.ingest.worker import IngestWorker
from thumbwheel.store.sql import open_store

if __name__ == "__main__":
    settings = Settings(home=Path(sys.argv[1]))
    log, store = open_log(settings.log_path), open_store(settings.database_url)
    log.append([to_log(record) for record in answer_and_vote(0, "of-the-killed", text=sys.argv[2])])
    IngestWorker(Source(log), store, settings.ingest).drain()
    os.kill(os.getpid(), signal.SIGKILL)
