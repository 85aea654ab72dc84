"""The whole service as a process of its own, on a home with two small policies of two versions each."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from thumbwheel.app.home import Addresses, announced
from thumbwheel.app.storage import open_registry
from thumbwheel.config.settings import Settings
from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.pretrain.generate import FirstPolicySettings, train_first_policy
from thumbwheel.records import Channel, Message, PolicyKind
from thumbwheel.registry.port import NewVersion, Registry

TOPICS = {
    "delivery": ("where is my parcel", "the parcel has not arrived", "my order is late", "who brings the parcel"),
    "refund": ("I want a refund", "give me my money back", "where is the refund", "I was charged twice"),
    "account": ("I forgot my password", "change my address", "close my account", "I can not log in"),
}
REPLIES = (
    ("where is my parcel", "it is on its way"),
    ("where is the refund", "it is on its way to your bank"),
    ("change my address", "tell me the new address please"),
)
_QUICK_CLASSIFY = ClassifyRecipe(labels_per_class=None, vocabulary=300, width=32, least_epochs=2, least_updates=20)
_QUICK_GENERATE = FirstPolicySettings(
    steps=60, batch_rows=8, vocabulary=300, width=32, layers=1, heads=2, feed_forward=64, warmup_steps=5
)
_START_S = 120.0


@contextmanager
def live_service(home: Path) -> Iterator[Addresses]:
    """Make the policies and run the service on them; yield where it answers."""
    make_policies(Settings(home=home))
    with running(home, "up") as addresses:
        yield addresses


@contextmanager
def running(home: Path, *arguments: str) -> Iterator[Addresses]:
    """Run `thumbwheel up`, with its options, on `home` and free ports; end it as an operator would."""
    command = [sys.executable, "-m", "thumbwheel.cli", "--home", str(home)]
    for door in ("port", "admin_port", "web_port"):
        command += ["--set", f"serve.{door}=0"]
    with (home / "service.out").open("w") as output:
        process = subprocess.Popen([*command, *arguments], stdout=output, stderr=subprocess.STDOUT)
    try:
        yield _addresses(home, process)
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0, (home / "service.out").read_text()


def make_policies(settings: Settings) -> None:
    """Publish two versions of a `classify` and of a `generate` policy; the second is the champion."""
    registry, home = open_registry(settings), settings.home
    rows = [LabelledText(text, label) for label, texts in TOPICS.items() for text in texts]
    pretrain_classify(rows, home / "new-topics", _QUICK_CLASSIFY)
    chats = [(Message("user", asked), Message("assistant", replied)) for asked, replied in REPLIES]
    train_first_policy(chats, home / "new-helpdesk", 0, _QUICK_GENERATE)
    _publish(registry, "topics", PolicyKind.CLASSIFY, home / "new-topics")
    _publish(registry, "helpdesk", PolicyKind.GENERATE, home / "new-helpdesk")
    registry.close()


def _publish(registry: Registry, policy: str, kind: PolicyKind, folder: Path) -> None:
    parent = ""
    for _ in range(2):
        version = registry.publish(NewVersion(policy, kind, parent=parent), folder).version
        registry.move(policy, Channel.CHAMPION, version, actor="test", reason="made for the test")
        parent = version


def _addresses(home: Path, process: subprocess.Popen[bytes]) -> Addresses:
    """Wait until the service says that it serves."""
    ends = time.monotonic() + _START_S
    while (addresses := announced(home)) is None or not _is_serving(addresses):
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(f"the service did not start:\n{(home / 'service.out').read_text()}")
        time.sleep(0.2)
    return addresses


def _is_serving(addresses: Addresses) -> bool:
    return httpx.get(f"{addresses.web}/healthz").status_code == 200
