"""The Dockerfile, as far as it can be checked without a container engine."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = ROOT / "requirements"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SECRET = re.compile(r"password|secret|token|api_?key", re.IGNORECASE)
TOOLS = re.compile(r"\b(apt-get|apk|gcc|g\+\+|make|git|curl|wget|build-essential)\b")


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction and what it is given, lines joined, comments and blank lines left out, here-documents whole."""
    found: list[tuple[str, str]] = []
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        while line.endswith("\\"):
            line = line[:-1] + next(lines).strip()
        if heredoc := re.search(r"<<(\w+)$", line):
            body = list(iter(lambda: next(lines), heredoc.group(1)))
            line = "\n".join([line, *body])
        name, _, rest = line.partition(" ")
        found.append((name, rest))
    return found


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions(DOCKERFILE):
        if name == "FROM":
            found.append([])
        found[-1].append((name, rest))
    return found


def sources() -> list[str]:
    given = [rest.split() for name, rest in instructions(DOCKERFILE) if name == "COPY" and "--from=" not in rest]
    return [source for words in given for source in words[:-1]]


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,-]+\])?==([^ ;\\]+)", text, re.MULTILINE))


def without_cuda() -> str:
    command = ["awk", "-f", str(REQUIREMENTS / "without-cuda.awk"), str(REQUIREMENTS / "image.txt")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_every_source_of_a_copy_exists_and_is_sent_to_the_builder() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sources()
    for source in sources():
        assert (ROOT / source).exists(), source
        assert source.partition("/")[0] in allowed, f"{source} is left out by .dockerignore"
    assert allowed == {source.partition("/")[0] for source in sources()}


def test_base_images_are_pinned_and_one() -> None:
    bases = [rest.partition(" AS ")[0] for name, rest in instructions(DOCKERFILE) if name == "FROM"]
    assert len(bases) == 2
    [base] = set(bases)  # the environment's python is the base's
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)


def test_the_result_runs_as_nobody_and_holds_no_tools() -> None:
    last = stages()[-1]
    given = dict(last)
    assert given["USER"] == "10001:10001"
    runs = [rest for name, rest in last if name == "RUN"]
    assert not any(TOOLS.search(run) for run in runs)
    assert "pip uninstall" in runs[0]
    names = [name for name, _ in last]
    assert names.index("USER") > max(index for index, name in enumerate(names) if name in ("RUN", "COPY"))
    copies = [rest for name, rest in last if name == "COPY"]
    assert copies == ["--from=build /opt/thumbwheel /opt/thumbwheel"]


def test_the_rules_of_the_trade() -> None:
    """What hadolint asks: exec forms, absolute folders, no ADD, pipes that fail, no cache in a layer, no secret."""
    for name, rest in instructions(DOCKERFILE):
        assert name not in ("ADD", "MAINTAINER")
        if name in ("ENTRYPOINT", "CMD", "SHELL"):
            assert rest.startswith("[")
        if name == "WORKDIR":
            assert rest.startswith("/")
        if name in ("ENV", "ARG"):
            assert not SECRET.search(rest)
        if name == "RUN":
            assert "sudo" not in rest and "latest" not in rest
            for install in re.findall(r"(?:pip install|uv pip|uv venv|uv build)[^&\n]*", rest):
                assert "--no-cache" in install, install
    assert ("SHELL", '["/bin/bash", "-o", "pipefail", "-c"]') in stages()[0]


def test_what_is_installed_is_checked_by_hash() -> None:
    for _, rest in stages()[0]:
        for install in re.findall(r"install sync[^\n;]*|pip install --no-cache-dir[^&]*|uv build[^&]*", rest):
            assert "--require-hashes" in install


def test_ports_are_those_of_the_service() -> None:
    from thumbwheel.config.settings import Settings

    settings = Settings()
    ports = {settings.serve.port, settings.serve.admin_port, settings.serve.web_port}
    probes = settings.probes
    ports |= {probes.serve_port, probes.ingest_port, probes.retrain_port, probes.web_port}
    assert {int(one) for one in dict(stages()[-1])["EXPOSE"].split()} == ports


def test_the_images_pins_are_those_that_the_tests_run_with() -> None:
    image, dev = pins((REQUIREMENTS / "image.txt").read_text()), pins((REQUIREMENTS / "dev.txt").read_text())
    assert {name: dev.get(name) for name in image} == image
    for extra in ("", "s3", "train"):
        for line in requires("thumbwheel") or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                assert needed.name.lower().replace("_", "-") in {name.replace("_", "-") for name in image}, line


def test_without_cuda_nothing_else_is_missing() -> None:
    whole, rest = pins((REQUIREMENTS / "image.txt").read_text()), pins(without_cuda())
    left_out = whole.keys() - rest.keys()
    assert {"torch", "triton", "nvidia-cublas"} <= left_out
    assert all(re.match(r"torch$|triton$|nvidia-|cuda-", name) for name in left_out)
    needed = [Requirement(one) for one in requires("torch") or []]
    on_processor = {one.name.lower() for one in needed if not re.match(r"triton|nvidia|cuda", one.name)}
    on_processor = {one.name.lower() for one in needed if one.name.lower() in on_processor and "extra" not in str(one)}
    assert on_processor <= {name.lower() for name in rest}
    hashes = [line for line in without_cuda().splitlines() if line.startswith("    --hash=")]
    assert len(hashes) >= len(rest)


@pytest.mark.parametrize("line", ["FROM python:3.11.14-slim-bookworm", "RUN a \\\n    && b", "RUN <<END\nx\nEND"])
def test_instructions_are_read_whole(line: str) -> None:
    assert len(instructions(f"# a comment\n{line}\n")) == 1
