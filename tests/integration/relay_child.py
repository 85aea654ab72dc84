"""A process for `test_relay_crash.py`, made to be killed: callers append to an outbox, a relay ships it to Kafka.

Every acknowledged record's id goes to the ledger, a line each, after the append has returned; `acknowledged` is
printed now and then, so that the parent knows that work goes on.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from thumbwheel.app.relaying import relaying
from thumbwheel.bus.kafka_log import open_kafka_log
from thumbwheel.bus.port import FEEDBACK, REQUESTS, NewRecord
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Kafka, Settings
from thumbwheel.telemetry.logging import configure_logging
from thumbwheel.telemetry.metrics import Metrics

CALLERS = 4


def main(folder: Path, life: str, kafka: str) -> None:
    configure_logging(Settings().telemetry)  # to standard error: the parent reads the other
    outbox = open_log(folder / "outbox.sqlite")
    ledger = os.open(folder / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def call(caller: int) -> None:
        number = 0
        while True:
            topic = FEEDBACK if number % 2 else REQUESTS
            name = f"{life}-{caller}-{number}"
            outbox.append([NewRecord(topic, f"key-{caller}", name.encode())])
            os.write(ledger, f"{topic} {name}\n".encode())
            number += 1
            if number % 50 == 0:
                os.write(sys.stdout.fileno(), b"acknowledged\n")

    for caller in range(CALLERS):
        threading.Thread(target=call, args=(caller,), daemon=True).start()
    with relaying(outbox, open_kafka_log(Kafka.model_validate_json(kafka)), Metrics().outbox):
        threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
