"""A policy's first version: trained from scratch on the user's file, or taken from an existing model."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from thumbwheel.app.home import demand_writable
from thumbwheel.config.settings import Settings
from thumbwheel.errors import AlreadyExists, InvalidInput
from thumbwheel.pretrain.corpus import demand_labels, read_chats, read_labelled, read_tagged
from thumbwheel.pretrain.step_done import StepDone
from thumbwheel.records import Channel, Manifest, PolicyKind
from thumbwheel.registry.artifacts.opening import open_artifacts
from thumbwheel.registry.port import NewVersion, Registry
from thumbwheel.registry.sql import demand_name


@dataclass(frozen=True, slots=True)
class Source:
    """Where a first policy comes from: exactly one of `data` (a file) and `model` (a folder or a hub id).

    Where `model` is the folder of an adapter, `base` is the model that it belongs to, likewise.
    """

    kind: PolicyKind
    data: Path | None = None
    model: str = ""
    labels_per_class: int = 5
    worth_keeping: Path | None = None
    seed: int = 0
    base: str = ""
    tagged_texts: int = 20


@dataclass(frozen=True, slots=True)
class FirstVersion:
    """What was made. `labelled_texts` stood in the data, `learned_from` of them it saw; both 0 for other sources."""

    manifest: Manifest
    labelled_texts: int = 0
    learned_from: int = 0


@dataclass(frozen=True, slots=True)
class _Model:
    """A model in its folder: where it comes from, and the counts of `FirstVersion`."""

    base: str
    labelled_texts: int = 0
    learned_from: int = 0


def demand_source(registry: Registry, name: str, source: Source) -> None:
    """Find out at once what can be: it takes long until a model is trained or loaded.

    Raises:
        InvalidInput: the source is not usable.
        AlreadyExists: there is a policy of that name.
        InvalidData: a data file has bad lines; names them.
    """
    demand_name(name)
    if any(policy == name for policy, _ in registry.policies()):
        raise AlreadyExists(f"name: policy {name!r} exists already; choose another name")
    if (source.data is None) == (not source.model):
        raise InvalidInput("data", "give either a data file to train from (--data), or an existing model (--from)")
    if source.base and not source.model:
        raise InvalidInput("base", "it is the model of an adapter; name the adapter's folder by --from")
    if source.data is not None:
        _read(source.kind, source.data)
    if source.worth_keeping:
        read_chats(source.worth_keeping)


def demand_place(settings: Settings) -> None:
    """Find out at once whether a version can be kept: the home, where the database is in it, and the versions' store.

    Raises:
        Unavailable: one of them can not be written.
    """
    if not settings.database.url:
        demand_writable(settings.home)
    open_artifacts(settings).check()


def _read(kind: PolicyKind, data: Path) -> None:
    """Read a data file for its faults. Raises InvalidData."""
    match kind:
        case PolicyKind.CLASSIFY:
            demand_labels(data, read_labelled(data))
        case PolicyKind.TAG:
            read_tagged(data)
        case PolicyKind.GENERATE:
            read_chats(data)
        case _:
            assert_never(kind)


def init_policy(registry: Registry, name: str, source: Source, actor: str, step_done: StepDone) -> FirstVersion:
    """Make the first version of policy `name` and its champion; `step_done(step, steps, loss)` is told the way.

    `demand_source` and `demand_place` come first: they say what is wrong before anything that takes long is begun.
    """
    with tempfile.TemporaryDirectory(prefix="thumbwheel-init-") as scratch:
        folder = Path(scratch) / "version"
        model = _train(source, source.data, folder, step_done) if source.data else _take(source, folder)
        if source.worth_keeping:
            _add_worth_keeping(source.worth_keeping, folder)
        manifest = registry.publish(NewVersion(name, source.kind, base=model.base), folder)
    registry.move(name, Channel.CHAMPION, manifest.version, actor=actor, reason="first version")
    return FirstVersion(manifest, model.labelled_texts, model.learned_from)


def _train(source: Source, data: Path, folder: Path, step_done: StepDone) -> _Model:
    match source.kind:
        case PolicyKind.CLASSIFY:
            from thumbwheel.pretrain.classify import ClassifyRecipe, pretrain_classify

            recipe = ClassifyRecipe(labels_per_class=source.labels_per_class, seed=source.seed)
            rows = read_labelled(data)
            seen = pretrain_classify(rows, folder, recipe, step_done)
            return _Model(f"trained from {data.name}", len(rows), len(seen))
        case PolicyKind.GENERATE:
            from thumbwheel.pretrain.generate import train_first_policy

            train_first_policy(read_chats(data), folder, source.seed, step_done=step_done)
            return _Model(f"trained from {data.name}")
        case PolicyKind.TAG:
            from thumbwheel.pretrain.tag import TagRecipe, pretrain_tag

            tagged = read_tagged(data)
            taught = pretrain_tag(tagged, folder, TagRecipe(texts=source.tagged_texts, seed=source.seed), step_done)
            return _Model(f"trained from {data.name}", len(tagged), len(taught))
        case _:
            assert_never(source.kind)


def _take(source: Source, folder: Path) -> _Model:
    """Load an existing model and save it again: what is served is what could be loaded, and safetensors only."""
    from thumbwheel.policy.adopt import adopt

    adopt(source.kind, source.model, folder, source.base)
    return _Model(f"{source.base} with {source.model}" if source.base else source.model)


def _add_worth_keeping(file: Path, folder: Path) -> None:
    from thumbwheel.retrain.worth_keeping import WORTH_KEEPING_FILE

    shutil.copyfile(file, folder / WORTH_KEEPING_FILE)
