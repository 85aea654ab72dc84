import errno
import stat
from pathlib import Path

import pytest

from thumbwheel.app.home import Addresses, Home, announced
from thumbwheel.errors import HomeInUse, Unavailable

ADDRESSES = Addresses(
    pid=1, grpc="127.0.0.1:1", admin="127.0.0.1:2", web="http://127.0.0.1:3", probes="http://127.0.0.1:3"
)


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    with Home(tmp_path / "home") as home:
        home.announce(ADDRESSES)
        with (
            pytest.raises(HomeInUse, match="process 1; stop it, or choose another folder with --home"),
            Home(tmp_path / "home"),
        ):
            pass
    with Home(tmp_path / "home"):
        pass


def test_addresses_are_announced_while_held_only(tmp_path: Path) -> None:
    assert announced(tmp_path) is None
    with Home(tmp_path) as home:
        assert announced(tmp_path) is None
        home.announce(ADDRESSES)
        assert announced(tmp_path) == ADDRESSES
    assert announced(tmp_path) is None


def test_addresses_left_by_a_killed_service_are_not_believed(tmp_path: Path) -> None:
    with Home(tmp_path) as home:
        home.announce(ADDRESSES)
        left = (tmp_path / "service.json").read_bytes()
    (tmp_path / "service.json").write_bytes(left)
    assert announced(tmp_path) is None
    with Home(tmp_path):
        assert announced(tmp_path) is None


def test_home_is_private(tmp_path: Path) -> None:
    with Home(tmp_path / "home"):
        assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


def test_home_below_a_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="choose another with --home"), Home(tmp_path / "file" / "home"):
        pass


def test_addresses_that_can_not_be_written_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("thumbwheel.app.home.write_whole", full)
    with Home(tmp_path) as home, pytest.raises(Unavailable, match="can not be written \\(No space left on device"):
        home.announce(ADDRESSES)
