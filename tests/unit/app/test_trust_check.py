"""What `doctor` says of certificates and of doors that would be open."""

from __future__ import annotations

from pathlib import Path

import pytest
from certificates import authority

from thumbwheel.app.finding import Finding
from thumbwheel.app.secrets_check import examine_secrets
from thumbwheel.app.trust import own_key
from thumbwheel.app.trust_check import examine_trust
from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidConfig


def settings(home: Path, **sections: object) -> Settings:
    return Settings.model_validate({"home": home, **sections})


def found(given: Settings) -> dict[str, Finding]:
    return {one.check: one for one in examine_trust(given)}


def test_a_service_on_loopback_is_told_as_it_is(tmp_path: Path) -> None:
    assert found(settings(tmp_path))["doors"].found == "plain text, no key is asked for"
    beyond = found(settings(tmp_path, serve={"host": "0.0.0.0"}))["doors"]
    assert (beyond.ok, "tls.plain_beyond_loopback=true" in beyond.found + beyond.cure) == (False, True)
    trusted = settings(tmp_path, serve={"host": "0.0.0.0"}, ray={"trusted_network": True})
    assert found(trusted)["doors"].ok


def test_a_certificate_is_told_with_its_names_and_warned_of_two_weeks_ahead(tmp_path: Path) -> None:
    known = authority(tmp_path)
    for days, level in ((15, "ok"), (13, "warning")):
        pair = known.sign(tmp_path, "models.example", (-1, days))
        looked = found(settings(tmp_path, tls={"certificate_file": pair[0], "key_file": pair[1]}))
        assert looked["tls"].found == "for models.example"
        assert looked["certificate"].level == level
        assert f"in {days - 1} days" in looked["certificate"].found
    ended = known.sign(tmp_path, "models.example", (-9, -2))
    looked = found(settings(tmp_path, tls={"certificate_file": ended[0], "key_file": ended[1]}))
    assert (looked["tls"].ok, looked["tls"].cure) == (False, "put a renewed certificate there")


def test_an_authority_of_own_calls_that_ends_is_warned_of(tmp_path: Path) -> None:
    known = authority(tmp_path, days=(-1, 3))
    looked = found(settings(tmp_path, tls={"ca_file": known.file}))
    assert (looked["certificate"].level, "tls.ca_file" in looked["certificate"].found) == ("warning", True)
    gone = found(settings(tmp_path, tls={"ca_file": tmp_path / "nowhere"}))["calls by tls"]
    assert (gone.ok, gone.cure) == (False, "mend its path or its rights")


def test_the_key_of_own_calls_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THUMBWHEEL_API_KEY", raising=False)
    (file := tmp_path / "key").write_text("tw_file\n")
    file.chmod(0o644)
    given = settings(tmp_path, auth={"api_key_file": file})
    assert own_key(settings(tmp_path)) == "" and own_key(given) == "tw_file"
    [warned] = examine_secrets(given)
    assert (warned.level, warned.cure) == ("warning", f"chmod 600 {file}")
    monkeypatch.setenv("THUMBWHEEL_API_KEY", "tw_environment")
    assert own_key(given) == "tw_environment"
    monkeypatch.delenv("THUMBWHEEL_API_KEY")
    file.unlink()
    with pytest.raises(InvalidConfig, match=r"^auth\.api_key_file: .*key can't be read; mend"):
        own_key(given)
