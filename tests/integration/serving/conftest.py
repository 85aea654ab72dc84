"""A real service on a free port, with tiny random policies, the real registry and the real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from thumbwheel.bus.codec import from_log
from thumbwheel.bus.group_commit import GroupCommitter
from thumbwheel.bus.port import REQUESTS
from thumbwheel.bus.sqlite_log import open_log
from thumbwheel.config.settings import Settings
from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.feedback.keys import load_or_make_keys
from thumbwheel.feedback.raters import Raters
from thumbwheel.feedback.tokens import TokenSigner
from thumbwheel.hosts.local import LocalHost, Registration
from thumbwheel.inference.loading import EngineLoader
from thumbwheel.inference.reconcile import Reconciler
from thumbwheel.inference.request_log import RequestLog
from thumbwheel.inference.servicer import SERVICE, InferenceServicer
from thumbwheel.inference.swap import ServedPolicies
from thumbwheel.inference.torch_runtime import prepare_torch
from thumbwheel.inference.v1.inference_pb2_grpc import InferenceServiceStub, add_InferenceServiceServicer_to_server
from thumbwheel.records import Channel, LoggedResponse, Manifest, PolicyKind
from thumbwheel.registry.port import NewVersion
from thumbwheel.registry.sql import SqlRegistry
from thumbwheel.telemetry.metrics import Metrics

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIALS = ["<|end|>", "<|pad|>", "<|user|>", "<|assistant|>", "<|system|>"]


@pytest.fixture(scope="session", autouse=True)
def quiet_torch() -> None:
    prepare_torch(1)


def byte_tokenizer(**extra: Any) -> PreTrainedTokenizerFast:
    """A token a byte: any text goes in, and characters can be cut in the middle."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIALS, *alphabet])}
    inner = Tokenizer(models.BPE(vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=SPECIALS[2:],
        **extra,
    )


def write_causal(folder: Path, seed: int, positions: int = 512) -> Path:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        initializer_range=0.3,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_classifier(folder: Path, seed: int) -> Path:
    tokenizer = byte_tokenizer(model_max_length=64)
    torch.manual_seed(seed)
    labels = {0: "refund", 1: "delivery", 2: "other"}
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,
        pad_token_id=tokenizer.pad_token_id,
        id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class Home:
    """A folder with registry, log and keys, as a process has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = connect(f"sqlite:///{path / 'store.sqlite'}")
        migrate(self.database)
        self.registry = SqlRegistry(self.database, path / "versions")
        keys = load_or_make_keys(path / "keys.json", 1)
        self.tokens = TokenSigner(keys, 3600.0)
        self.raters = Raters(keys.user_key)
        self.log = open_log(path / "log.sqlite")
        self._folders = 0

    def publish(self, policy: str, kind: PolicyKind, seed: int, promote: bool = True, **extra: Any) -> Manifest:
        self._folders += 1
        folder = self.path / f"made-{self._folders}"
        write = write_causal if kind is PolicyKind.GENERATE else write_classifier
        manifest = self.registry.publish(NewVersion(policy, kind), write(folder, seed, **extra))
        if promote:
            self.promote(policy, manifest.version)
        return manifest

    def promote(self, policy: str, version: str) -> None:
        self.registry.move(policy, Channel.CHAMPION, version, actor="test", reason="test")

    def logged(self) -> list[LoggedResponse]:
        stored = [
            one for partition in self.log.partitions(REQUESTS) for one in self.log.read(REQUESTS, partition, 0, 100_000)
        ]
        records = [from_log(one) for one in stored]
        return [record for record in records if isinstance(record, LoggedResponse)]

    def close(self) -> None:
        self.log.close()
        self.database.dispose()


class Inference:
    """What follows the registry, and the servicer before it."""

    def __init__(
        self,
        settings: Settings,
        registry: SqlRegistry,
        request_log: RequestLog,
        metrics: Metrics,
    ) -> None:
        self.policies = ServedPolicies()
        self._loader = EngineLoader(settings, metrics.queue)
        self.reconciler = Reconciler(registry, self.policies, self._loader, metrics.version, settings.serve.reconcile_s)
        self.servicer = InferenceServicer(
            self.policies, request_log, settings.generate, settings.classify, metrics.queue
        )
        self._changed = asyncio.Event()
        self.policies.watch(self._changed.set)
        self._tasks: list[asyncio.Task[None]] = []

    def add_to(self, server: grpc.aio.Server) -> None:
        add_InferenceServiceServicer_to_server(self.servicer, server)

    def start(self, host: LocalHost) -> None:
        self._tasks = [asyncio.create_task(self.reconciler.run()), asyncio.create_task(self._tell(host))]

    async def ready(self) -> None:
        moved = asyncio.Event()
        self.policies.watch(moved.set)
        while not self.policies.ready:
            await moved.wait()
            moved.clear()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.policies.close()
        self._loader.close()

    async def _tell(self, host: LocalHost) -> None:
        while True:
            await host.set_serving(SERVICE, self.policies.ready)
            await self._changed.wait()
            self._changed.clear()


@dataclass
class Service:
    home: Home
    inference: Inference
    host: LocalHost
    metrics: Metrics
    channel: grpc.aio.Channel
    stub: Any

    async def swap_to(self, policy: str, version: str) -> None:
        """Promote and wait until it serves."""
        moved = asyncio.Event()
        self.inference.policies.watch(moved.set)
        self.home.promote(policy, version)
        while self.inference.policies.served(policy)[0].ref.version != version:
            moved.clear()
            self.inference.reconciler.nudge()
            await moved.wait()

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def home(tmp_path: Path) -> Any:
    made = Home(tmp_path)
    yield made
    made.close()


Serve = Callable[..., Any]


@pytest.fixture
def serve(home: Home) -> Serve:
    @asynccontextmanager
    async def started(wait: bool = True, appender: Any = None, **sections: dict[str, Any]) -> AsyncIterator[Service]:
        serve_section = {"port": 0, "admin_port": 0, "reconcile_s": 0.05, "drain_s": 5.0, **sections.pop("serve", {})}
        settings = Settings.model_validate({"home": home.path, "serve": serve_section, **sections})
        metrics = Metrics()
        committer = GroupCommitter(home.log, 64)
        log = RequestLog(appender or committer, home.tokens, home.raters, metrics.log)
        inference = Inference(settings, home.registry, log, metrics)
        host = LocalHost(settings.serve, [Registration(SERVICE, inference.add_to)], metrics.rpc)
        await host.start()
        try:
            inference.start(host)
            if wait:
                await inference.ready()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{host.ports['public']}") as channel:
                yield Service(home, inference, host, metrics, channel, InferenceServiceStub(channel))
        finally:
            await host.drain()
            await inference.close()
            committer.close()

    return started
