"""Makes the Python stubs beside their .proto files. `--check` only compares and says which are stale."""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
STUBS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def generate(into: Path) -> list[Path]:
    """Write all stubs under `into`; return their paths relative to it."""
    from grpc_tools import protoc

    # protoc finds its plugins on the path; they lie beside this Python, whether or not its environment is active
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    protos = sorted(ROOT.glob("thumbwheel/**/*.proto"))
    out = [f"--{kind}_out={into}" for kind in ("python", "pyi", "grpc_python", "mypy_grpc")]
    status = protoc.main(["protoc", f"-I{ROOT}", *out, *map(str, protos)])
    if status:
        sys.exit(f"protoc ended with status {status}")
    for proto in protos:
        if "service " not in proto.read_text():
            # protoc writes empty service stubs for files without services
            for suffix in ("_pb2_grpc.py", "_pb2_grpc.pyi"):
                (into / proto.relative_to(ROOT)).with_name(proto.stem + suffix).unlink()
    return sorted(path.relative_to(into) for pattern in STUBS for path in into.rglob(pattern))


def stale(fresh: Path, names: list[Path]) -> list[str]:
    """Return the stubs of the tree that differ from the fresh ones, are missing, or should not be there."""
    present = {path.relative_to(ROOT) for pattern in STUBS for path in ROOT.rglob(pattern)}
    differing = {n for n in names if n in present and not filecmp.cmp(fresh / n, ROOT / n, shallow=False)}
    return sorted(map(str, differing | (present ^ set(names))))


def main() -> None:
    """Generate, or with `--check` compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with status 1 if a stub is stale")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        names = generate(fresh)
        if check:
            old = stale(fresh, names)
            sys.exit(f"stale, run `make protos`: {', '.join(old)}" if old else 0)
        for name in names:
            shutil.copyfile(fresh / name, ROOT / name)


if __name__ == "__main__":
    main()
