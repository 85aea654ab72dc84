"""A whole `generate` run on a very small policy: interrupted while it learns, it ends as if it had not been."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from generate_world import LEARN, GenerateWorld, make_first_generator
from training_world import end, gates, kill, watch

from thumbwheel.gates.judge import GENERATE
from thumbwheel.policy.loading import load_causal
from thumbwheel.records import Run, RunState, RunStep
from thumbwheel.retrain.cycle import Cycle
from thumbwheel.retrain.exits import Exit
from thumbwheel.retrain.learners import learner_for
from thumbwheel.retrain.lock import RunLease
from thumbwheel.retrain.plan import load_plan, make_plan, save_plan
from thumbwheel.retrain.run_folder import RunFolder
from thumbwheel.retrain.worth_keeping import WORTH_KEEPING_FILE

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_first_generator(tmp_path_factory.mktemp("generate") / "v1")


class Interrupted(RunFolder):
    """A run's folder whose process ends once `improve` has told of its sixth iteration."""

    def tell(self, step: RunStep, done: int, total: int, figures: object = None) -> None:
        RunFolder.tell(self, step, done, total, figures)  # type: ignore[arg-type]
        if (step, done) == (RunStep.IMPROVE, 6):
            raise Killed


def test_an_interrupted_run_measures_what_an_undisturbed_one_does(tmp_path: Path, policy: Path) -> None:
    world = GenerateWorld(tmp_path / "home", policy)
    settings, store, registry = world.settings, world.store, world.registry
    plan = make_plan(store, registry, settings, "chat")

    def cycle(folder: RunFolder, lease: RunLease) -> Cycle:
        folder.path.mkdir(parents=True, exist_ok=True)
        return Cycle(plan, folder, store, registry, learner_for, lease, lambda: time.time_ns() // 1000)

    runs: list[Run] = []
    with RunLease(store, "chat", plan.run_id) as lease:
        plain, broken = settings.runs_dir / "plain", settings.runs_dir / "broken"
        with pytest.raises(Killed):
            refused = cycle(Interrupted(broken), lease).run()
            pytest.fail(refused.summary)
        runs.append(cycle(RunFolder(broken), lease).run())
        runs.append(cycle(RunFolder(plain), lease).run())
    world.close()

    assert [run.state in (RunState.PROMOTED, RunState.REJECTED) for run in runs] == [True, True]
    assert [gate.name for gate in runs[0].gates] == [gate.name for gate in GENERATE]
    timeless = [[gate for gate in run.gates if gate.name != "latency"] for run in runs]
    values = [[(gate.name, repr(gate.value)) for gate in gates] for gates in timeless]
    assert values[0] == values[1]
    for name in ("model.safetensors", WORTH_KEEPING_FILE):
        assert (broken / "candidate" / name).read_bytes() == (plain / "candidate" / name).read_bytes()
    assert not RunFolder(broken).checkpoint.exists()
    page = (plain / "report.html").read_text()
    assert "where is my" in page and "KL" in page
    assert "Surprise at replies users liked" in page, "the thumbs up did not reach the update"
    assert "Reward less KL, prompts set aside" in page
    # After the fifth and the last, seventh.
    assert "the latest of 2 looks at prompts set aside that was not worse than the best of them" in page
    choice = json.loads(RunFolder(plain).choice.read_text())
    assert f"iteration {choice['iteration']} of 7" in page
    assert f"all {choice['weights']:,}" in page
    assert choice == json.loads(RunFolder(broken).choice.read_text())


@pytest.mark.timeout(900)  # several processes import torch, which takes its time on a busy machine
def test_a_run_killed_at_every_step_comes_to_the_same_verdict(tmp_path: Path, policy: Path) -> None:
    world, killed_world = (GenerateWorld(tmp_path / name, policy) for name in ("undisturbed", "killed"))
    folder = world.plan()
    killed = RunFolder(killed_world.settings.runs_dir / folder.path.name)
    save_plan(load_plan(folder.path), killed.path)  # a plan is good in any home

    assert end(world.worker(folder)) == Exit.FINISHED, folder.log.read_text()
    for step in RunStep:
        worker = killed_world.worker(killed)
        watch(worker, killed, step, done=3 if step is RunStep.IMPROVE else 0)
        kill(worker)
    assert end(killed_world.worker(killed)) == Exit.FINISHED, killed.log.read_text()

    undisturbed, resumed = world.run(folder.path.name), killed_world.run(folder.path.name)
    assert undisturbed.state is resumed.state
    assert undisturbed.state in (RunState.PROMOTED, RunState.REJECTED)
    assert [repr(gate) for gate in gates(undisturbed)] == [repr(gate) for gate in gates(resumed)] != []
    made, made_again = ((one.candidate / "model.safetensors").read_bytes() for one in (folder, killed))
    assert made == made_again
    world.close()
    killed_world.close()


def test_adapters_learn_and_a_whole_model_comes_of_them(tmp_path: Path, policy: Path) -> None:
    learn = LEARN.model_copy(update={"lora_rank": 2, "learning_rate": 5e-3})
    world = GenerateWorld(tmp_path / "home", policy, learn)
    plan = make_plan(world.store, world.registry, world.settings, "chat")
    folder = RunFolder(world.settings.runs_dir / "adapters")
    folder.path.mkdir(parents=True)
    with RunLease(world.store, "chat", plan.run_id) as lease:
        run = Cycle(plan, folder, world.store, world.registry, learner_for, lease, lambda: 0).run()
    world.close()
    assert run.state in (RunState.PROMOTED, RunState.REJECTED)
    assert [gate.name for gate in run.gates] == [gate.name for gate in GENERATE]
    before, after = (load_causal(path).model.state_dict() for path in (policy, folder.candidate))
    assert before.keys() == after.keys()
    assert "of adapters of rank 2, merged into" in folder.report.read_text()
