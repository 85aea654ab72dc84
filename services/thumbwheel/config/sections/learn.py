"""Reward model and PPO."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Count, Fraction, Nats, Ratio, Seconds


class Learn(Section):
    """Reward model and PPO. The defaults are the ones the benchmarks were run with."""

    seed: Count = Field(0, ge=0, le=2**31 - 1, description="Seed of a run; recorded in its folder.")
    threads: Count = Field(1, ge=1, le=256, description="Threads for torch in a run, of each worker.")
    workers: Count = Field(
        1,
        ge=1,
        le=1024,
        description="Processes that share the reward fit and PPO. 1: the run's own. More are started by Ray Train on "
        "the cluster of section `ray` (`pip install 'thumbwheel[train]'`), and learn the same up to rounding.",
    )
    niceness: Count = Field(10, ge=0, le=19, description="How far a run steps back for the service (nice).")
    max_away_s: Seconds = Field(
        21_600.0,
        ge=0,
        le=2_592_000,
        description="Seconds that a run waits for the versions' store to come back; then it has failed, and the policy "
        "is free for another one.",
    )
    ppo_iterations: Count = Field(20, ge=1, le=10_000, description="`generate`: rollout-and-update rounds.")
    ppo_batch: Count = Field(128, ge=8, le=65_536, description="`generate`: episodes a round.")
    kl_target: Nats = Field(
        2.0, gt=0, le=50, description="`generate`: KL to the reference that beta aims at, nats a reply."
    )
    liked_weight: Ratio = Field(
        0.3, ge=0, le=10, description="`generate`: weight of holding replies with a thumb up likely, beside PPO's loss."
    )
    rater_trust: bool = Field(
        True,
        description="`generate`, `classify`: weigh raters by how far they go along with what others say (`generate`, "
        ".1 to 1.5 times) or with what the versions that served held likely (`classify`, 0 to 1).",
    )
    reward_members: Count = Field(
        3,
        ge=2,
        le=20,
        description="`generate`: heads of the reward model, at most as many as there are raters; each learns nothing "
        "of a part of them.",
    )
    reward_caution: Ratio = Field(
        0.5, ge=0, le=10, description="`generate`: standard deviations between the heads that are taken off a reward."
    )
    edit_weight: Ratio = Field(
        0.0,
        ge=0,
        le=10,
        description="`generate`: weight of replies as users corrected them, beside PPO's loss; 0: none.",
    )
    learning_rate: Ratio = Field(
        5e-4,
        gt=0,
        le=0.1,
        description="`generate`: Adam's rate at the start of PPO; it falls to a tenth. The default suits models of "
        "about a million weights; large ones want less, adapters about ten times as much as all weights would.",
    )
    rollouts: Literal["generate", "engine"] = Field(
        "generate",
        description="`generate`: what samples PPO's replies: a plain loop on the model that learns, or the batching "
        "loop that serves, on a copy of it. Both sample the same replies.",
    )
    lora_rank: Count = Field(
        0,
        ge=0,
        le=1024,
        description="`generate`: 0: PPO changes all weights. Above: adapters of that rank (LoRA), which take far less "
        "memory; what is published has them merged in.",
    )
    lora_alpha: Ratio = Field(
        16.0, gt=0, le=4096, description="`generate`: adapters count lora_alpha / lora_rank times."
    )
    evaluate_every: Count = Field(
        5,
        ge=0,
        le=10_000,
        description="`generate`: rounds between two looks at a tenth of the prompts that is set aside; the latest "
        "state that is not worse than the best is taken. 0: the last one, and no prompt is set aside.",
    )
    patience: Count = Field(
        2,
        ge=0,
        le=10_000,
        description="`generate`: so many looks one after the other that find the policy worse than it was end PPO; "
        "0: none do.",
    )
    tag_epochs: Count = Field(20, ge=1, le=1_000, description="`tag`: passes over the votes.")
    tag_correction_weight: Ratio = Field(
        1.0, ge=0, le=10, description="`tag`: weight of imitating corrected texts, beside PPO's loss; 0: none."
    )
    classify_epochs: Count = Field(20, ge=1, le=1_000, description="`classify`: passes over the votes, at most.")
    classify_validation: Fraction = Field(
        0.1,
        le=0.5,
        description="`classify`: share of the training users whose votes are laid aside to choose the pass whose "
        "weights are kept, and to end when more passes do harm. 0: none; then the last pass is kept.",
    )
    classify_learning_rate: Ratio = Field(
        1e-3,
        gt=0,
        le=0.1,
        description="`classify`: AdamW's rate at the start; it falls evenly to 0. The default suits a first policy of "
        "Thumbwheel's own; a large pretrained encoder whose weights all learn wants about 2e-5.",
    )
    classify_past_weight: Ratio = Field(
        0.3,
        ge=0,
        le=10,
        description="`classify`: weight of explaining votes of any age by the policy's own probabilities, beside PPO's "
        "loss; 0: none. It supposes one right label a text.",
    )
    past_versions: Count = Field(
        64,
        ge=0,
        le=10_000,
        description="`classify`, `tag`: ancestors, before the champion's three nearest, whose votes are explained, or "
        "whose corrections are imitated, too.",
    )
    classify_wrong_votes: Ratio = Field(
        0.05, ge=0.01, le=0.45, description="`classify`: share of votes taken to be wrong when they are explained."
    )
