"""The demo world's intents: how much of what true labels would teach do thumbs teach, and is PPO needed for it?

    python benchmarks/classify_demo.py

Prints held-out accuracy after every round of votes, and a table: the first policy, PPO on votes and supervision on
the thumbs-up alone, each at two shares of wrong thumbs, and the same network when it is told every true label of the
same rows.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from classify_rounds import Task, compare, mean_and_worst, options, rounds_of, table, told_by_method
from record import record
from thumbwheel.pretrain.classify import ClassifyRecipe
from thumbwheel.pretrain.corpus import LabelledText
from thumbwheel.simulate.world import World

GOAL = 0.9
HELD_OUT = 1000


def main() -> None:
    parser = options(__doc__ or "", votes=8000, noises=[0.1, 0.2], seeds=[0, 1, 2])
    parser.add_argument("--rows", type=int, default=4000, help="messages users ask about")
    given = parser.parse_args()
    rounds = rounds_of(given)
    reached = compare(
        lambda seed, work: _task(given.rows, given.labels_per_class, seed, work), rounds, given.seeds, given.methods
    )
    print(table(rounds, reached))
    shares = [end.share("ppo") for end in reached[0]]
    told = "; ".join(
        f"{each.noise:.0%} wrong: {told_by_method(ends)}" for each, ends in zip(rounds, reached, strict=True)
    )
    record(
        "classify: demo world, thumbs against all true labels",
        min(shares),
        "ratio of accuracies",
        f">= {GOAL}",
        min(shares) >= GOAL,
        "python benchmarks/classify_demo.py",
        f"worst of {len(shares)} seed(s), mean {sum(shares) / len(shares):.3f}; {given.votes} votes, a fifth of the "
        f"users held out; accuracies: first policy {mean_and_worst([end.first for end in reached[0]])}, all true "
        f"labels of the same {given.rows} rows {mean_and_worst([end.all_labels for end in reached[0]])}; {told}; "
        f"{'every' if given.gates else 'no'} gate asked",
    )


def _task(count: int, labels_per_class: int, seed: int, work: Path) -> Task:
    world, rng = World(seed), Random(f"rows {seed}")
    messages = [world.message(rng) for _ in range(count + HELD_OUT)]
    rows = [LabelledText(message.text, message.intent) for message in messages]
    recipe = ClassifyRecipe(labels_per_class=labels_per_class, seed=seed)
    return Task(train=rows[HELD_OUT:], held_out=rows[:HELD_OUT], recipe=recipe, work=work)


if __name__ == "__main__":
    main()
