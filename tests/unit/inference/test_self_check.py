"""A version that the batching loop decodes by other probabilities than its own is refused by name; others pass."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from math import inf, log, nan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from structlog.testing import capture_logs
from tiny_policy import tiny_causal, tiny_policy, without_padding
from transformers import GenerationConfig

from thumbwheel.config.settings import Settings
from thumbwheel.errors import Conflict, DamagedArtifact, UnservableVersion
from thumbwheel.inference import loading
from thumbwheel.inference.loading import EngineLoader
from thumbwheel.inference.reconcile import Reconciler
from thumbwheel.inference.self_check import NEW_TOKENS, Foretold, SelfCheck, foretell
from thumbwheel.inference.swap import ServedPolicies
from thumbwheel.policy.loading import CausalPolicy, save_causal
from thumbwheel.records import Channel, PolicyKind
from thumbwheel.telemetry.metrics import Metrics

BLOOM: dict[str, Any] = {"hidden_size": 16, "n_layer": 2, "n_head": 2, "initializer_range": 0.5}
MAMBA = {"hidden_size": 16, "num_hidden_layers": 1, "state_size": 4}
SMALL = Settings.model_validate({"generate": {"kv_blocks": 32, "queue_limit": 1, "concurrent": 2}})


def row(*probabilities: float) -> torch.Tensor:
    return torch.tensor([log(p) for p in probabilities])


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """The loop's own complaints about layers that it can't decode belong to no test."""
    caplog.set_level(logging.CRITICAL)


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineLoader]:
    monkeypatch.setattr(loading, "spare_the_collector", lambda: None)
    made = EngineLoader(SMALL, Metrics().queue)
    yield made
    made.close()


def saved(policy: CausalPolicy, folder: Path) -> Path:
    save_causal(policy, folder)
    return folder


def bloom(folder: Path) -> Path:
    return saved(without_padding(tiny_causal("bloom", **BLOOM)), folder)


class FolderRegistry:
    """A registry of one policy, whose versions are folders."""

    def __init__(self, *folders: Path) -> None:
        self.folders = {folder.name: folder for folder in folders}
        self.number = 0
        self.past: list[Any] = []

    def point(self, version: str) -> None:
        previous = self.past[0].version if self.past else ""
        self.past.insert(0, SimpleNamespace(channel=Channel.CHAMPION, version=version, previous=previous))
        self.number += 1

    def generation(self) -> int:
        return self.number

    def policies(self) -> list[tuple[str, PolicyKind]]:
        return [("reply", PolicyKind.GENERATE)]

    def channels(self, policy: str) -> dict[Channel, str]:
        return {Channel.CHAMPION: self.past[0].version}

    def manifest(self, policy: str, version: str) -> Any:
        return SimpleNamespace(digest=f"sha256:{version}")

    def fetch(self, policy: str, version: str) -> Path:
        return self.folders[version]

    def earlier_champions(self, policy: str) -> list[str]:
        return [change.version for change in self.past[1:]]


def test_a_drawn_token_is_held_against_its_own_probability() -> None:
    prompt = Foretold((1, 2), (row(0.2, 0.7, 0.1), row(0.5, 0.3, 0.2)))
    assert prompt.difference([1, 0], [log(0.7), log(0.5)]) == pytest.approx(0.0, abs=1e-6)
    assert prompt.difference([1, 0], [log(0.7), log(0.4)]) == pytest.approx(log(0.5 / 0.4), abs=1e-6)
    # Another token, as surely: equal numbers, but it was not that likely.
    assert prompt.difference([0, 0], [log(0.7), log(0.5)]) == pytest.approx(log(0.7 / 0.2), abs=1e-6)
    # After a tie that fell otherwise the next row is of another text.
    tie = Foretold((1, 2), (row(0.4, 0.4, 0.2), row(0.5, 0.3, 0.2)))
    assert tie.difference([1, 2], [log(0.4), log(0.9)]) == pytest.approx(0.0, abs=1e-6)
    for no_number in (nan, -inf):
        assert prompt.difference([1, 0], [log(0.7), no_number]) == inf


def test_a_difference_of_a_hundredth_of_a_nat_is_refused_by_name() -> None:
    prompt = Foretold((1, 2), (row(0.2, 0.8),))
    check = SelfCheck("OddForCausalLM", (prompt,))
    check.demand_same(prompt, [1], [log(0.8) - 0.009])
    with pytest.raises(UnservableVersion, match=r"^a OddForCausalLM can't be served: .*by 0.011 nats.*; begin with"):
        check.demand_same(prompt, [1], [log(0.8) - 0.011])


def test_it_is_foretold_from_what_the_whole_text_gives() -> None:
    model = tiny_policy().model
    check = foretell(model)
    assert {len(prompt.prompt_ids) for prompt in check.prompts} == {7, 4}
    for prompt in check.prompts:
        tokens = [int(row_V.argmax()) for row_V in prompt.rows_V]
        whole = model(input_ids=torch.tensor([[*prompt.prompt_ids, *tokens]])).logits[0].log_softmax(-1)
        assert len(tokens) == NEW_TOKENS
        torch.testing.assert_close(torch.stack(prompt.rows_V), whole[-NEW_TOKENS - 1 : -1], atol=1e-5, rtol=0)


def test_weights_that_are_no_numbers_are_refused() -> None:
    model = tiny_policy().model
    with torch.no_grad():
        model.get_output_embeddings().weight[5] = nan
    with pytest.raises(UnservableVersion, match=r"this LlamaForCausalLM computes no numbers .*roll back"):
        foretell(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
async def test_how_it_was_saved_and_what_it_says_of_sampling_change_nothing(
    dtype: torch.dtype, tmp_path: Path, loader: EngineLoader
) -> None:
    policy = tiny_policy()
    policy.model.generation_config = GenerationConfig(do_sample=True, temperature=0.3, top_k=2, repetition_penalty=1.5)
    folder = saved(CausalPolicy(policy.model.to(dtype), policy.tokenizer), tmp_path / "v1")
    engine = await loader.load(PolicyKind.GENERATE, folder)
    await engine.close()


async def test_a_model_that_ends_at_once_is_compared_beyond_its_end(
    tmp_path: Path, loader: EngineLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = without_padding(tiny_causal("bloom", **BLOOM))
    check = foretell(policy.model)
    monkeypatch.setattr(loading, "foretell", lambda model: SelfCheck(check.model_type, check.prompts[1:]))
    policy.tokenizer.eos_token = policy.tokenizer.convert_ids_to_tokens(int(check.prompts[1].rows_V[0].argmax()))
    with pytest.raises(UnservableVersion, match="BloomForCausalLM"):
        await loader.load(PolicyKind.GENERATE, saved(policy, tmp_path / "v1"))


async def test_layers_that_can_not_be_batched_are_refused_by_name(tmp_path: Path, loader: EngineLoader) -> None:
    folder = saved(without_padding(tiny_causal("mamba", **MAMBA)), tmp_path / "v1")
    with pytest.raises(UnservableVersion, match="^a MambaForCausalLM can't be served: .*; begin with a model of"):
        await loader.load(PolicyKind.GENERATE, folder)


async def test_a_loop_that_fails_is_told_with_the_models_type(tmp_path: Path, loader: EngineLoader) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    folder = saved(without_padding(tiny_causal("falcon", **sizes)), tmp_path / "v1")
    with pytest.raises(DamagedArtifact, match="this FalconForCausalLM loads but can't generate") as caught:
        await loader.load(PolicyKind.GENERATE, folder)
    assert type(caught.value) is DamagedArtifact


async def test_the_check_is_a_stage_with_a_rest_before_and_after(
    tmp_path: Path, loader: EngineLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[str] = []

    def noted(name: str, function: Any) -> Any:
        def call(*args: Any) -> Any:
            stages.append(name)
            return function(*args)

        return call

    async def rest() -> None:
        stages.append("rest")

    for name in ("load_causal", "foretell", "BatchedGenerateEngine"):
        monkeypatch.setattr(loading, name, noted(name, getattr(loading, name)))
    monkeypatch.setattr(loader, "_breathe", rest)
    engine = await loader.load(PolicyKind.GENERATE, saved(tiny_policy(), tmp_path / "v1"))
    await engine.close()
    assert stages == ["load_causal", "rest", "foretell", "rest", "BatchedGenerateEngine", "rest", "rest"]


async def test_a_published_version_that_is_refused_leaves_the_one_before_it_serving(
    tmp_path: Path, loader: EngineLoader
) -> None:
    registry = FolderRegistry(saved(tiny_policy(), tmp_path / "v1"), bloom(tmp_path / "v2"))
    policies, metrics = ServedPolicies(), Metrics()
    reconciler = Reconciler(registry, policies, loader, metrics.version, 1.0)  # type: ignore[arg-type]
    registry.point("v1")
    await reconciler.reconcile()
    before = policies.current("reply", Channel.CHAMPION)
    registry.point("v2")
    with capture_logs() as logs:
        for _ in range(3):
            await reconciler.reconcile()
    assert before is not None and policies.current("reply", Channel.CHAMPION) is before and before.engine.healthy
    [line] = [one for one in logs if one["event"] == "a version can't be served"]
    assert (line["policy_version"], line["still_serving"], line["retry_in_s"]) == ("v2", "v1", None)
    assert line["problem"].startswith("v2: a BloomForCausalLM can't be served: decoded in batches it gives other")
    assert reconciler.explain("reply") == f"{line['problem']}; v1 is served instead"
    read = metrics.registry.get_sample_value
    assert read("thumbwheel_swaps_total", {"policy": "reply", "outcome": "failed"}) == 1
    assert read("thumbwheel_damaged_versions_total", {"policy": "reply"}) is None
    await policies.close()


async def test_at_a_start_the_version_before_the_refused_one_serves(tmp_path: Path, loader: EngineLoader) -> None:
    registry = FolderRegistry(saved(tiny_policy(), tmp_path / "v1"), bloom(tmp_path / "v2"))
    policies = ServedPolicies()
    reconciler = Reconciler(registry, policies, loader, Metrics().version, 1.0)  # type: ignore[arg-type]
    registry.point("v1")
    registry.point("v2")
    await reconciler.reconcile()
    assert policies.choose("reply", "").ref.version == "v1"
    assert reconciler.explain("reply").endswith("; v1 is served instead")
    await policies.close()


async def test_with_no_version_before_it_who_asks_learns_why(tmp_path: Path, loader: EngineLoader) -> None:
    registry = FolderRegistry(bloom(tmp_path / "v1"))
    policies = ServedPolicies()
    registry.point("v1")
    await Reconciler(registry, policies, loader, Metrics().version, 1.0).reconcile()  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="until its operator acts: v1: a BloomForCausalLM can't be served"):
        policies.choose("reply", "")
