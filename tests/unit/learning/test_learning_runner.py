"""`make learning`: what is kept is not run again, what is absent is told, and each piece has its page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

import learning.runner
from learning.piece import Absent, Found, Page, Piece, Place, Shelf
from learning.pieces import PIECES


@dataclass(frozen=True)
class Double:
    number: int
    log: str

    @property
    def name(self) -> str:
        return f"double {self.number}"

    def run(self, place: Place) -> Found:
        with Path(self.log).open("a") as file:
            file.write(f"{self.number} ")
        if self.number == 7:
            place.folder("numbers", "seven.txt")
        return {"double": 2 * self.number}


def _piece(log: Path, numbers: tuple[int, ...]) -> Piece:
    return Piece(
        "doubles",
        "Doubles",
        1,
        lambda small: [Double(number, str(log)) for number in numbers],
        lambda results: Page(" ".join(str(found["double"]) for _, found in results)),
    )


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    return ["doubles", "--workers", "1", "--kept", str(tmp_path / "kept"), "--out", str(tmp_path / "out")]


def test_what_is_kept_is_not_run_again_unless_the_code_is_another(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setattr(learning.runner, "PIECES", {"doubles": _piece(log, (1, 2))})
    monkeypatch.setattr(learning.runner, "code_state", lambda: "one")
    assert learning.runner.main(asked) == 0
    assert log.read_text() == "1 2 "
    assert "# Doubles\n\n2 4\n" in (tmp_path / "out" / "doubles.md").read_text()

    monkeypatch.setattr(learning.runner, "PIECES", {"doubles": _piece(log, (3, 1, 2))})
    assert learning.runner.main(asked) == 0
    assert log.read_text() == "1 2 3 "
    assert "\n6 2 4\n" in (tmp_path / "out" / "doubles.md").read_text()  # in the order of the units

    monkeypatch.setattr(learning.runner, "code_state", lambda: "two")
    assert learning.runner.main([*asked, "--any-code"]) == 0
    assert log.read_text() == "1 2 3 "
    assert learning.runner.main([*asked, "--only", "double 1"]) == 0
    assert log.read_text() == "1 2 3 1 "


def test_what_is_absent_is_told_and_the_rest_is_written(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(learning.runner, "PIECES", {"doubles": _piece(tmp_path / "log", (7, 2))})
    monkeypatch.setattr(learning.runner, "code_state", lambda: "one")
    assert learning.runner.main(asked) == 1
    assert "double 7: it needs numbers/seven.txt: give the folder that holds it by --data FOLDER" in (
        capsys.readouterr().err
    )
    page = (tmp_path / "out" / "doubles.md").read_text()
    assert "\n4\n" in page and "Not there: double 7" in page
    assert learning.runner.main([*asked, "--data", str(tmp_path)]) == 1
    assert f"there is no numbers/seven.txt in {tmp_path}" in capsys.readouterr().err


def test_a_unit_is_found_by_its_class_and_fields_only(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "s")
    shelf.put(Double(1, "log"), {"double": 2}, "s")
    assert shelf.find(Double(1, "log")) == {"double": 2}
    assert shelf.find(Double(2, "log")) is None and shelf.find(Double(1, "other")) is None
    assert Shelf(tmp_path, "t").find(Double(1, "log")) is None
    [kept] = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    assert kept["unit"] == "double 1" and kept["fields"] == {"number": 1, "log": "log"}


def test_every_piece_has_units_and_a_small_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert learning.runner.main(["--list"]) == 0
    listed = capsys.readouterr().out
    for name, piece in PIECES.items():
        assert name == piece.name and f"\n{name} " in f"\n{listed}"
        units, small = piece.units(False), piece.units(True)
        assert len(set(units)) == len(units) > 0 and 0 < len(small) <= len(units)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="--data"):
        Place(None, tmp_path).folder("banking77", "train.jsonl")
