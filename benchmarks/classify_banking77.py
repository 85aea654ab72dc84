"""A user's own labelled file: from a few labels a class to a good classifier by thumbs alone.

    python benchmarks/classify_banking77.py --data FOLDER

Prints held-out accuracy after every round of votes, and a table: the first policy, PPO on votes, supervision on the
thumbs-up alone, and the same network when it is told every true label.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from classify_rounds import Task, compare, mean_and_worst, options, rounds_of, table, told_by_method
from record import record
from thumbwheel.pretrain.classify import ClassifyRecipe
from thumbwheel.pretrain.corpus import LabelledText, read_labelled

GOAL = 0.85
MOST_VOTES = 30_000


def main() -> None:
    parser = options(__doc__ or "", votes=MOST_VOTES, noises=[0.1], seeds=[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds banking77/train.jsonl")
    given = parser.parse_args()
    rows, rounds = read_labelled(given.data / "banking77" / "train.jsonl"), rounds_of(given)
    reached = compare(
        lambda seed, work: _task(rows, given.labels_per_class, seed, work), rounds, given.seeds, given.methods
    )
    print(table(rounds, reached))
    ends = reached[0]
    ppo, shares = [end.by_method["ppo"] for end in ends], [end.share("ppo") for end in ends]
    told = (
        f"worst of {len(ends)} seed(s); first policy {mean_and_worst([end.first for end in ends])}, "
        f"{given.votes} votes in rounds of {given.votes_a_round}, {rounds[0].noise:.0%} wrong, a fifth of the users "
        f"held out; {told_by_method(ends)}, all true labels "
        f"{mean_and_worst([end.all_labels for end in ends])}; {'every' if given.gates else 'no'} gate asked"
    )
    within, command = given.votes <= MOST_VOTES, "python benchmarks/classify_banking77.py --data FOLDER"
    goal = f">= {GOAL} at <= {MOST_VOTES} votes"
    gated = ", behind the gates" if given.gates else ""
    for figure, values, unit, reading in (
        (f"classify: banking77 accuracy from thumbs{gated}", ppo, "accuracy", "the goal read as plain accuracy"),
        (
            f"classify: banking77, thumbs against all true labels{gated}",
            shares,
            "ratio of accuracies",
            "the goal read as a share of what all true labels reach; read as plain accuracy it is another row",
        ),
    ):
        record(figure, min(values), unit, goal, min(values) >= GOAL and within, command, f"{reading}: {told}")


def _task(rows: list[LabelledText], labels_per_class: int, seed: int, work: Path) -> Task:
    shuffled = list(rows)
    Random(f"split {seed}").shuffle(shuffled)
    cut = len(rows) // 5
    recipe = ClassifyRecipe(labels_per_class=labels_per_class, seed=seed)
    return Task(train=shuffled[cut:], held_out=shuffled[:cut], recipe=recipe, work=work)


if __name__ == "__main__":
    main()
