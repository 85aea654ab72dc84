"""What every registry promises, whatever it is kept in. An adapter joins by a line in `ADAPTERS`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from artifact_stores import Kept, folder_store, kept_in_folder, kept_remotely, s3_settings

from thumbwheel.database.engine import connect
from thumbwheel.database.migrate import migrate
from thumbwheel.errors import Conflict, DamagedArtifact, InvalidInput, UnknownPolicy, UnknownVersion
from thumbwheel.records import Channel, Manifest, PolicyKind
from thumbwheel.registry.artifacts.local import LocalArtifacts, LocalUpload
from thumbwheel.registry.artifacts.opening import open_store
from thumbwheel.registry.artifacts.remote import RemoteUpload
from thumbwheel.registry.port import NewVersion, Registry
from thumbwheel.registry.sql import SqlRegistry


@dataclass
class Registered:
    """A registry, and the store that it keeps files in."""

    registry: SqlRegistry
    kept: Kept

    def damage(self, version: str, name: str, content: bytes | None = None) -> None:
        """Overwrite a version's file, or remove it; what was fetched before is forgotten."""
        location = self.kept.location(self.registry.manifest("intent", version))
        if content is None:
            self.kept.remove(f"{location}/{name}")
        else:
            self.kept.write(f"{location}/{name}", content)
        self.kept.forget()


def sql(url: str, kept: Kept) -> Registered:
    engine = connect(url)
    migrate(engine)
    return Registered(SqlRegistry(engine, kept.artifacts), kept)


def sqlite(_request: pytest.FixtureRequest, home: Path) -> Registered:
    return sql(f"sqlite:///{home / 'store.sqlite'}", kept_in_folder(home))


def postgresql(request: pytest.FixtureRequest, home: Path) -> Registered:
    return sql(request.getfixturevalue("postgres_url"), kept_in_folder(home))


def sqlite_remote(_request: pytest.FixtureRequest, home: Path) -> Registered:
    return sql(f"sqlite:///{home / 'store.sqlite'}", kept_remotely(folder_store(home / "store"), home))


def postgresql_remote(request: pytest.FixtureRequest, home: Path) -> Registered:
    return sql(request.getfixturevalue("postgres_url"), kept_remotely(folder_store(home / "store"), home))


def sqlite_s3(request: pytest.FixtureRequest, home: Path) -> Registered:
    store = open_store(s3_settings(request.getfixturevalue("s3_gateway")))
    return sql(f"sqlite:///{home / 'store.sqlite'}", kept_remotely(store, home))


ADAPTERS: dict[str, Callable[[pytest.FixtureRequest, Path], Registered]] = {
    "sqlite": sqlite,
    "postgresql": postgresql,
    "sqlite-remote": sqlite_remote,
    "postgresql-remote": postgresql_remote,
    "sqlite-s3": sqlite_s3,
}


@pytest.fixture(params=ADAPTERS)
def registered(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registered]:
    made = ADAPTERS[request.param](request, tmp_path)
    yield made
    made.registry.close()


@pytest.fixture
def opened(registered: Registered) -> Registry:
    return registered.registry


def model(folder: Path, weights: str = "weights") -> Path:
    (folder / "tokenizer").mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text(weights)
    (folder / "tokenizer" / "vocab.txt").write_text("a\nb\n")
    return folder


def new(run_id: str = "", policy: str = "intent") -> NewVersion:
    return NewVersion(policy, PolicyKind.CLASSIFY, run_id=run_id)


def publish(registry: Registry, tmp_path: Path, count: int, policy: str = "intent") -> list[Manifest]:
    return [registry.publish(new(policy=policy), model(tmp_path / "made", f"w{n}")) for n in range(count)]


def champion(registry: Registry, version: str, **fields: str) -> None:
    registry.move("intent", Channel.CHAMPION, version, actor="ann", reason="better", **fields)


def test_a_version_is_numbered_described_and_fetched(opened: Registry, tmp_path: Path) -> None:
    source = model(tmp_path / "made")
    made = opened.publish(
        NewVersion("intent", PolicyKind.CLASSIFY, "", "base", "run-1", 7, "promote", {"a": "b"}), source
    )
    assert (made.version, made.run_id, made.watermark, made.verdict, made.notes) == (
        "v1",
        "run-1",
        7,
        "promote",
        {"a": "b"},
    )
    assert sorted(made.files) == ["config.json", "model.safetensors", "tokenizer/vocab.txt"]
    assert opened.manifest("intent", "v1") == made
    folder = opened.fetch("intent", "v1")
    assert (folder / "tokenizer/vocab.txt").read_text() == "a\nb\n"
    assert source.exists() and folder != source


def test_versions_come_newest_first_and_policies_by_name(opened: Registry, tmp_path: Path) -> None:
    publish(opened, tmp_path, 11)
    publish(opened, tmp_path, 1, policy="apply")
    assert [made.version for made in opened.versions("intent")] == [f"v{n}" for n in range(11, 0, -1)]
    assert list(opened.policies()) == [("apply", PolicyKind.CLASSIFY), ("intent", PolicyKind.CLASSIFY)]


def test_the_same_files_have_the_same_digest_and_others_another(opened: Registry, tmp_path: Path) -> None:
    one, other = publish(opened, tmp_path, 2)
    again = opened.publish(new(), model(tmp_path / "again", "w0"))
    assert one.digest == again.digest != other.digest
    assert one.digest.startswith("sha256:") and len(one.digest) == 71


def test_publishing_a_run_again_returns_what_it_published(opened: Registry, tmp_path: Path) -> None:
    first = opened.publish(new("run-1"), model(tmp_path / "made"))
    publish(opened, tmp_path, 1)
    assert opened.publish(new("run-1"), model(tmp_path / "made", "other weights")) == first
    assert opened.publish(new("run-1", policy="other"), model(tmp_path / "made")).policy == "other"
    assert len(opened.versions("intent")) == 2


@pytest.mark.parametrize("name", ["pytorch_model.bin", "a.pt", "a.pth", "a.pkl", "A.PKL", "modeling.py", "run.sh"])
def test_a_file_that_may_run_code_is_refused_by_name(opened: Registry, tmp_path: Path, name: str) -> None:
    folder = model(tmp_path / "made")
    (folder / "tokenizer" / name).write_text("x")
    with pytest.raises(InvalidInput, match=name):
        opened.publish(new(), folder)
    assert list(opened.policies()) == []


def test_links_are_refused(opened: Registry, tmp_path: Path) -> None:
    folder = model(tmp_path / "made")
    (folder / "special.json").symlink_to(folder / "config.json")
    with pytest.raises(InvalidInput, match=r"special\.json"):
        opened.publish(new(), folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_part_is_refused(opened: Registry, tmp_path: Path, name: str) -> None:
    folder = model(tmp_path / "made")
    (folder / name).unlink()
    with pytest.raises(InvalidInput, match=name.removeprefix("model")):
        opened.publish(new(), folder)


@pytest.mark.parametrize("policy", ["", "..", "../x", "A", "a/b", "x" * 65])
def test_a_policy_has_a_plain_name(opened: Registry, tmp_path: Path, policy: str) -> None:
    with pytest.raises(InvalidInput, match="policy"):
        opened.publish(new(policy=policy), model(tmp_path / "made"))


def test_a_policy_keeps_its_kind(opened: Registry, tmp_path: Path) -> None:
    publish(opened, tmp_path, 1)
    with pytest.raises(InvalidInput, match="classify"):
        opened.publish(NewVersion("intent", PolicyKind.GENERATE), model(tmp_path / "made"))


def test_unknown_names_say_what_there_is(opened: Registry, tmp_path: Path) -> None:
    publish(opened, tmp_path, 2)
    with pytest.raises(UnknownPolicy, match="^policy: .*intent"):
        opened.versions("nothing")
    with pytest.raises(UnknownPolicy, match="intent"):
        opened.fetch("nothing", "v1")
    with pytest.raises(UnknownVersion, match="^version: .*v1, v2"):
        opened.manifest("intent", "v3")
    with pytest.raises(UnknownVersion, match="v1, v2"):
        champion(opened, "v3")
    with pytest.raises(UnknownPolicy):
        opened.move("nothing", Channel.CANARY, "", actor="ann", reason="tidy")
    assert opened.channels("nothing") == {}


def test_a_flipped_byte_a_missing_and_an_added_file_are_damage(
    opened: Registry, registered: Registered, tmp_path: Path
) -> None:
    publish(opened, tmp_path, 4)
    registered.damage("v1", "model.safetensors", b"W0")
    registered.damage("v2", "tokenizer/vocab.txt")
    registered.damage("v3", "extra.json", b"{}")
    registered.damage("v4", "manifest.json", b"{}")
    for version, culprit in [
        ("v1", "model.safetensors"),
        ("v2", "vocab.txt"),
        ("v3", "extra.json"),
        ("v4", "manifest"),
    ]:
        with pytest.raises(DamagedArtifact, match=culprit):
            opened.fetch("intent", version)
        with pytest.raises(DamagedArtifact):
            champion(opened, version)
    assert opened.channels("intent") == {}


def test_a_move_leaves_an_audit_row_and_raises_the_generation(opened: Registry, tmp_path: Path) -> None:
    publish(opened, tmp_path, 2)
    before = opened.generation()
    champion(opened, "v1")
    change = opened.move("intent", Channel.CHAMPION, "v2", actor="bob", reason="run", evidence_digest="sha256:e")
    assert (change.previous, change.version, change.actor, change.evidence_digest) == ("v1", "v2", "bob", "sha256:e")
    assert opened.generation() == before + 2
    assert opened.channels("intent") == {Channel.CHAMPION: "v2"}
    assert [c.version for c in opened.history("intent")] == ["v2", "v1"]
    assert opened.history("intent", limit=1) == [change]


def test_a_move_to_where_it_points_changes_nothing(opened: Registry, tmp_path: Path) -> None:
    publish(opened, tmp_path, 2)
    champion(opened, "v1")
    before = opened.generation(), opened.history("intent")
    again = opened.move("intent", Channel.CHAMPION, "v1", actor="eve", reason="again", expected_previous="v2")
    assert (again.previous, again.version, again.actor) == ("v1", "v1", "eve")
    assert (opened.generation(), opened.history("intent")) == before


def test_a_move_from_elsewhere_than_expected_is_refused(opened: Registry, tmp_path: Path) -> None:
    publish(opened, tmp_path, 3)
    champion(opened, "v1", expected_previous="")
    with pytest.raises(Conflict, match="v1"):
        champion(opened, "v3", expected_previous="v2")
    champion(opened, "v3", expected_previous="v1")
    assert opened.channels("intent")[Channel.CHAMPION] == "v3"


def test_a_channel_can_be_cleared_and_others_stay(opened: Registry, tmp_path: Path) -> None:
    publish(opened, tmp_path, 2)
    champion(opened, "v1")
    opened.move("intent", Channel.CANARY, "v2", actor="ann", reason="try")
    opened.move("intent", Channel.CANARY, "", actor="ann", reason="enough")
    assert opened.channels("intent") == {Channel.CHAMPION: "v1"}


def test_two_rollbacks_go_two_steps_back(opened: Registry, tmp_path: Path) -> None:
    publish(opened, tmp_path, 3)
    for version in ("v1", "v2", "v3"):
        champion(opened, version)
    assert opened.earlier_champions("intent") == ["v2", "v1"]
    assert opened.rollback("intent", actor="ann", reason="worse").version == "v2"
    assert opened.earlier_champions("intent") == ["v1"]
    assert opened.rollback("intent", actor="ann", reason="worse still").version == "v1"
    assert opened.earlier_champions("intent") == []
    with pytest.raises(Conflict, match="v1"):
        opened.rollback("intent", actor="ann", reason="further")
    assert [c.version for c in opened.history("intent")] == ["v1", "v2", "v3", "v2", "v1"]


def test_rollback_after_a_promotion_returns_to_what_was_champion_then(opened: Registry, tmp_path: Path) -> None:
    publish(opened, tmp_path, 4)
    for version in ("v1", "v2", "v3"):
        champion(opened, version)
    opened.rollback("intent", actor="ann", reason="worse")
    champion(opened, "v4")
    assert opened.rollback("intent", actor="ann", reason="worse").version == "v2"
    champion(opened, "v1")  # by hand, not a rollback: v2 is what was champion before it
    assert opened.earlier_champions("intent")[0] == "v2"
    assert opened.rollback("intent", actor="ann", reason="worse").version == "v2"
    assert opened.rollback("intent", actor="ann", reason="worse").version == "v1"


def test_rollback_to_a_damaged_version_leaves_the_champion(
    opened: Registry, registered: Registered, tmp_path: Path
) -> None:
    publish(opened, tmp_path, 2)
    champion(opened, "v1")
    champion(opened, "v2")
    registered.damage("v1", "config.json", b"[]")
    with pytest.raises(DamagedArtifact, match="restore its folder, or promote another version$"):
        opened.rollback("intent", actor="ann", reason="worse")
    assert opened.channels("intent")[Channel.CHAMPION] == "v2"


def test_publications_at_once_get_numbers_of_their_own(opened: Registry, tmp_path: Path) -> None:
    folders = [model(tmp_path / f"made{n}", f"w{n}") for n in range(8)]
    made: list[Manifest] = []
    runs = [threading.Thread(target=lambda f=f: made.append(opened.publish(new(), f))) for f in folders]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted(m.version for m in made) == [f"v{n}" for n in range(1, 9)]
    assert len({m.digest for m in made}) == 8
    for m in made:
        opened.fetch("intent", m.version)


def test_the_same_run_published_at_once_is_one_version(opened: Registry, tmp_path: Path) -> None:
    folder = model(tmp_path / "made")
    made: list[Manifest] = []
    runs = [threading.Thread(target=lambda: made.append(opened.publish(new("run-1"), folder))) for _ in range(6)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(made) == 6 and {m.version for m in made} == {"v1"}
    assert len(opened.versions("intent")) == 1


def test_another_version_that_takes_the_number_first_is_given_way(
    opened: Registry, registered: Registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can take it only because nothing is locked while files are sent and sealed."""
    kind = LocalUpload if isinstance(registered.kept.artifacts, LocalArtifacts) else RemoteUpload
    seal = kind.seal
    sealed: list[str] = []

    def overtaken(upload: LocalUpload | RemoteUpload, made: Manifest) -> str:
        sealed.append(made.version)
        if len(sealed) == 1:
            publish(opened, tmp_path, 1)
        return str(seal(upload, made))  # type: ignore[arg-type]  # it is of its kind

    with monkeypatch.context() as patched:
        patched.setattr(kind, "seal", overtaken)
        made = opened.publish(new("run-1"), model(tmp_path / "slow", "slow"))
    assert sealed == ["v1", "v1", "v2"]
    assert [one.version for one in opened.versions("intent")] == ["v2", "v1"]
    assert opened.manifest("intent", "v2") == made
    for version, weights in [("v1", "w0"), ("v2", "slow")]:
        assert (opened.fetch("intent", version) / "model.safetensors").read_text() == weights


def test_a_run_published_twice_keeps_the_files_of_one(opened: Registry, registered: Registered, tmp_path: Path) -> None:
    folder = model(tmp_path / "made")
    runs = [threading.Thread(target=lambda: opened.publish(new("run-1"), folder)) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    location = registered.kept.location(opened.manifest("intent", "v1"))
    assert {name.rpartition("/")[0].removesuffix("/tokenizer") for name in registered.kept.files()} == {location}
