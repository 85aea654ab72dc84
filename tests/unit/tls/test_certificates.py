"""What a door shows is checked before anybody meets it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import authority
from cryptography.hazmat.primitives import serialization

from thumbwheel.errors import InvalidConfig
from thumbwheel.tls.certificates import DoorFiles, PemFile, earliest_end, read_authorities, read_door
from thumbwheel.tls.following import FollowedCertificates, utc_now

NOW = utc_now()


def files_of(pair: tuple[Path, Path], client_ca: Path | None = None) -> DoorFiles:
    asked = PemFile("tls.client_ca_file", client_ca) if client_ca else None
    return DoorFiles(PemFile("tls.certificate_file", pair[0]), PemFile("tls.key_file", pair[1]), asked)


def test_a_sound_pair_is_taken_with_its_names_and_its_end(tmp_path: Path) -> None:
    pair = authority(tmp_path).sign(tmp_path, "models.example", (-1, 7))
    read = read_door(files_of(pair), NOW)
    assert (read.names, read.client_ca) == (("models.example",), None)
    assert abs((read.expires - utc_now() - dt.timedelta(days=7)).total_seconds()) < 60
    assert abs((earliest_end(PemFile("x", pair[0])) - read.expires).total_seconds()) == 0
    assert "PRIVATE" not in repr(read)


Break = Callable[[Path, tuple[Path, Path]], None]


def gone(_: Path, pair: tuple[Path, Path]) -> None:
    pair[1].unlink()


def swapped(_: Path, pair: tuple[Path, Path]) -> None:
    pair[0].write_bytes(pair[1].read_bytes())


def foreign(folder: Path, pair: tuple[Path, Path]) -> None:
    (other := folder / "other").mkdir()
    pair[1].write_bytes(authority(other).sign(other, "127.0.0.1")[1].read_bytes())


def locked(_: Path, pair: tuple[Path, Path]) -> None:
    key = serialization.load_pem_private_key(pair[1].read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    pair[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))


def rubbish(_: Path, pair: tuple[Path, Path]) -> None:
    pair[1].write_bytes(b"-----BEGIN PRIVATE KEY-----\n")


@pytest.mark.parametrize(
    ("broken", "setting", "said"),
    [
        (gone, "tls.key_file", r"server\.key can't be read \(No such file or directory\); mend its path"),
        (swapped, "tls.certificate_file", r"server\.crt has no certificate in PEM form; name the file"),
        (foreign, "tls.key_file", r"server\.key is the key of another certificate than .*server\.crt; name the pair"),
        (locked, "tls.key_file", r"server\.key is encrypted; write it without a passphrase"),
        (rubbish, "tls.key_file", r"server\.key has no private key in PEM form"),
    ],
)
def test_each_fault_is_one_line_that_names_the_setting_and_the_cure(
    tmp_path: Path, broken: Break, setting: str, said: str
) -> None:
    pair = authority(tmp_path).sign(tmp_path, "127.0.0.1")
    broken(tmp_path, pair)
    with pytest.raises(InvalidConfig, match=said) as refused:
        read_door(files_of(pair), NOW)
    assert refused.value.field == setting and "\n" not in str(refused.value)


def test_what_has_expired_or_is_not_valid_yet_is_said_with_the_day(tmp_path: Path) -> None:
    signed = authority(tmp_path)
    pair = signed.sign(tmp_path, "127.0.0.1", (-9, -2))
    ended = NOW - dt.timedelta(days=2)
    with pytest.raises(InvalidConfig, match=rf"server\.crt expired on {ended:%Y-%m-%d} .* UTC; put a renewed"):
        read_door(files_of(pair), NOW)
    with pytest.raises(InvalidConfig, match=r"server\.crt is not valid before"):
        read_door(files_of(signed.sign(tmp_path, "127.0.0.1", (2, 9))), NOW)


def test_an_authority_that_has_expired_is_named_and_beside_a_good_one_is_borne(tmp_path: Path) -> None:
    old, new = authority(tmp_path, "old", (-9, -2)), authority(tmp_path, "new")
    pair = new.sign(tmp_path, "127.0.0.1")
    for read in (
        lambda: read_door(files_of(pair, old.file), NOW),
        lambda: read_authorities(PemFile("tls.client_ca_file", old.file), NOW),
    ):
        with pytest.raises(InvalidConfig, match=r"^tls\.client_ca_file: .*old\.pem expired on"):
            read()
    both = tmp_path / "both.pem"
    both.write_bytes(old.file.read_bytes() + new.file.read_bytes())
    assert read_door(files_of(pair, both), NOW).client_ca == both.read_bytes()


def test_a_renewed_pair_is_taken_up_and_a_half_renewed_one_is_waited_for(tmp_path: Path) -> None:
    signed = authority(tmp_path)
    pair = signed.sign(tmp_path, "127.0.0.1")
    (later := tmp_path / "later").mkdir()
    renewed = signed.sign(later, "127.0.0.2")
    followed = FollowedCertificates(files_of(pair))
    before = followed.current()
    assert followed.current() is before
    renewed[0].replace(pair[0])
    assert followed.current() is before  # the key is still the old one
    renewed[1].replace(pair[1])
    assert followed.current().names == ("127.0.0.2",)
    pair[1].unlink()
    assert followed.current().names == ("127.0.0.2",)
