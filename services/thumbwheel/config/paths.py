"""Paths among the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator


def expanded(path: Path) -> Path:
    """Return a path with `~` replaced. Raises ValueError for the home of a user who is unknown here."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path} begins with a user who is unknown here; write the folder out") from error


def _local(path: Path) -> Path:
    return expanded(path).absolute()


def _empty_is_none(path: object) -> object:
    return None if path == "" else path


LocalPath = Annotated[Path, AfterValidator(_local)]
OptionalPath = Annotated[LocalPath | None, BeforeValidator(_empty_is_none)]
