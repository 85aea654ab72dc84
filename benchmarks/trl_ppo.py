"""TRL's PPO on what `ppo_vs_trl.py` has prepared; runs in TRL's own environment and imports nothing of ours.

python trl_ppo.py WORK SEED
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM, LlamaForSequenceClassification
from trl.experimental.ppo import PPOConfig, PPOTrainer


def main() -> None:
    work, seed = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    shared = json.loads((work / "shared.json").read_text())
    out = work / f"trl-{seed}"
    out.mkdir(exist_ok=True)
    trainer = _trainer(work, out, shared, seed)
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    trainer.policy_model.save_pretrained(out / "policy")
    trainer.processing_class.save_pretrained(out / "policy")
    episodes = shared["iterations"] * shared["episodes"]
    (out / "told.json").write_text(json.dumps({"episodes": episodes, "seconds": seconds, "peak_mib": peak_mib}))


def _trainer(work: Path, out: Path, shared: dict[str, Any], seed: int) -> PPOTrainer:
    tokenizer = AutoTokenizer.from_pretrained(work / "first")
    tokenizer.padding_side = "left"
    prompts = Dataset.from_dict({"input_ids": shared["prompts"]})
    return PPOTrainer(
        args=_config(out, shared, seed),
        processing_class=tokenizer,
        model=LlamaForCausalLM.from_pretrained(work / "first"),
        ref_model=LlamaForCausalLM.from_pretrained(work / "first"),
        reward_model=LlamaForSequenceClassification.from_pretrained(work / "reward"),
        value_model=_value_model(work),
        train_dataset=prompts,
        eval_dataset=prompts.select(range(8)),
    )


def _value_model(work: Path) -> LlamaForSequenceClassification:
    """The first policy's body with a head that says 0, as ours begins."""
    config = AutoConfig.from_pretrained(work / "first", num_labels=1)
    model = LlamaForSequenceClassification.from_pretrained(work / "first", config=config)
    torch.nn.init.zeros_(model.score.weight)
    return model


def _config(out: Path, shared: dict[str, Any], seed: int) -> PPOConfig:
    return PPOConfig(
        output_dir=str(out / "trainer"),
        seed=seed,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        num_sample_generations=0,
        per_device_train_batch_size=shared["episodes"],
        gradient_accumulation_steps=1,
        num_mini_batches=shared["episodes"] // shared["minibatch"],
        local_rollout_forward_batch_size=shared["episodes"],
        num_ppo_epochs=shared["epochs"],
        total_episodes=shared["iterations"] * shared["episodes"],
        learning_rate=shared["learning_rate"],
        kl_coef=shared["beta"],
        gamma=1.0,
        lam=0.95,
        temperature=1.0,
        response_length=shared["new_tokens"],
        stop_token_id=shared["end_id"],
        missing_eos_penalty=shared["unfinished_penalty"],
    )


if __name__ == "__main__":
    main()
