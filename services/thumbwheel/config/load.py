"""Where settings come from: flags over the environment over a file over the defaults.

Nothing is ignored: a name that no setting has is an error, in the file and in the environment, and so is a value
out of range. All errors are told at once, each with the name as it was written where it came from.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from thumbwheel.config.paths import expanded
from thumbwheel.config.settings import Settings
from thumbwheel.config.units import Unit
from thumbwheel.errors import InvalidConfig

FILE_NAME = "thumbwheel.toml"
PREFIX = "THUMBWHEEL_"
FILE_VARIABLE = "THUMBWHEEL_CONFIG"
DEFAULT = "default"
# Not settings: which servers tests demand, the token of `thumbwheel vote --response-id`, and the API key of calls.
_OTHER_VARIABLES = frozenset({FILE_VARIABLE, "THUMBWHEEL_REQUIRE", "THUMBWHEEL_TOKEN", "THUMBWHEEL_API_KEY"})
_HIDDEN = "(hidden)"
_TOLD_PROBLEMS = 20
_TYPE_NAMES: Mapping[object, str] = {bool: "true or false", Path: "path", type(None): "empty"}
_PLAIN_UNITS = ("", "count", "fraction", "port", "ratio")

# Kubernetes sets these in every pod beside a Service called "thumbwheel"; they are not meant for us.
_SERVICE_LINK = re.compile(r"THUMBWHEEL(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_[A-Z0-9_]+)")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, for each dotted name where its value came from, and the configuration file, if one was read."""

    settings: Settings
    origins: Mapping[str, str]
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as `thumbwheel config show` prints it."""

    field: str
    value: str
    unit: str
    range: str
    origin: str
    description: str


@dataclass(frozen=True, slots=True)
class _Value:
    """A value before it is checked. `origin` is told to people, `written` is the name as they wrote it."""

    value: object
    origin: str
    written: str


def load_settings(file: Path | None, flags: Mapping[str, str]) -> Loaded:
    """Load the configuration of this process.

    `flags` maps dotted names (`classify.mode`) to texts. Without `file`, the environment's THUMBWHEEL_CONFIG
    names one; else `thumbwheel.toml` in the working folder or in the home folder is read, if there is one.
    Raises InvalidConfig: names are unknown, values out of range, or the file unreadable; tells of all of them.
    """
    names = dict(walk(Settings))
    problems: list[InvalidConfig] = []
    given = _from_environment(names, problems) | _from_flags(names, flags, problems)
    path = _choose_file(file, given)
    merged = (_from_file(names, path, problems) if path else {}) | given
    settings = _validate(merged, names, problems)
    origins = {name: merged[name].origin if name in merged else DEFAULT for name in names}
    return Loaded(settings, origins, path)


def describe(loaded: Loaded) -> list[Row]:
    """Return every setting with its value, unit, range, origin and description; secrets are hidden."""
    return [
        Row(
            field=name,
            value=_shown(_value_of(loaded.settings, name)),
            unit=_unit(field),
            range=allowed(field),
            origin=loaded.origins[name],
            description=field.description or "",
        )
        for name, field in walk(type(loaded.settings))
    ]


def walk(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every setting of a model with its dotted name."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from walk(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def allowed(field: FieldInfo) -> str:
    """Return the values that a field allows, for people: "0 to 65535", "sample or argmax", "more than 0"."""
    if choices := getattr(field.annotation, "__args__", ()):
        return " or ".join(choice if isinstance(choice, str) else _type_name(choice) for choice in choices)
    low, high = _bound(field, "ge", "gt"), _bound(field, "le", "lt")
    if low and high:
        return f"{low} to {high}"
    if low or high:
        return f"from {low}" if low else f"up to {high}"
    return _type_name(field.annotation)


def _bound(field: FieldInfo, inclusive: str, exclusive: str) -> str:
    for limit in field.metadata:
        if (value := getattr(limit, inclusive, None)) is not None:
            return f"{value:,}"
        if (value := getattr(limit, exclusive, None)) is not None:
            return f"{'above' if exclusive == 'gt' else 'below'} {value:,}"
    return ""


def _type_name(kind: object) -> str:
    """Name a type for people, whether bare or `Annotated`."""
    return _TYPE_NAMES.get(getattr(kind, "__origin__", kind), "text")


def _unit(field: FieldInfo) -> str:
    return next((entry.name for entry in field.metadata if isinstance(entry, Unit)), "")


def _value_of(settings: BaseModel, name: str) -> object:
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return _HIDDEN if value.get_secret_value() else ""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _from_flags(names: Iterable[str], flags: Mapping[str, str], problems: list[InvalidConfig]) -> dict[str, _Value]:
    written = {name: "--home" if name == "home" else f"--set {name}" for name in flags}
    known = {name: text for name, text in flags.items() if _is_known(name, written[name], names, problems)}
    return {name: _Value(text, "flag", written[name]) for name, text in known.items()}


def _from_environment(names: Iterable[str], problems: list[InvalidConfig]) -> dict[str, _Value]:
    variables = {PREFIX + name.replace(".", "__").upper(): name for name in names}
    values = {}
    for variable, text in os.environ.items():
        if not variable.startswith(PREFIX) or variable in _OTHER_VARIABLES or _is_service_link(variable, text):
            continue
        if _is_known(variable, variable, variables, problems):
            values[variables[variable]] = _Value(text, f"environment {variable}", variable)
    return values


def _is_service_link(variable: str, text: str) -> bool:
    if _SERVICE_LINK.fullmatch(variable):
        return True
    return variable.endswith("_PORT") and "://" in text


def _from_file(names: Iterable[str], path: Path, problems: list[InvalidConfig]) -> dict[str, _Value]:
    values = {}
    for name, value in _flatten(_read(path, problems), names):
        if _is_known(name, f"{path}: {name}", names, problems):
            values[name] = _Value(value, f"file {path}", f"{path}: {name}")
    return values


def _read(path: Path, problems: list[InvalidConfig]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(InvalidConfig(str(path), f"the configuration file can't be read ({error.strerror})"))
    except tomllib.TOMLDecodeError as error:
        problems.append(InvalidConfig(str(path), f"is not TOML: {error}"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.append(InvalidConfig(str(path), f"line {line} is not UTF-8: save the file as UTF-8"))
    return {}


def _flatten(table: Mapping[str, Any], names: Iterable[str], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict) and name not in names:
            yield from _flatten(value, names, f"{name}.")
        else:
            yield name, value


def _choose_file(file: Path | None, given: Mapping[str, _Value]) -> Path | None:
    named = file or (Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None)
    if named is not None:
        try:
            return expanded(named)
        except ValueError as error:
            raise InvalidConfig("--config" if file else FILE_VARIABLE, str(error)) from error
    home = given["home"].value if "home" in given else Settings().home
    places = [Path(FILE_NAME).absolute()]
    with suppress(ValueError):  # told when the values are checked
        places.append(expanded(Path(str(home))) / FILE_NAME)
    return next((place for place in places if place.is_file()), None)


def _is_known(name: str, written: str, names: Iterable[str], problems: list[InvalidConfig]) -> bool:
    if name in names:
        return True
    # without the prefix, which would make any variable of ours similar to any other
    bare = {known.removeprefix(PREFIX): known for known in names}
    near = difflib.get_close_matches(name.removeprefix(PREFIX), list(bare), n=1, cutoff=0.5)
    cure = f"did you mean {bare[near[0]]}?" if near else "`thumbwheel config show` lists them all"
    problems.append(InvalidConfig(written, f"is not a setting; {cure}"))
    return False


def _validate(merged: Mapping[str, _Value], names: Mapping[str, FieldInfo], problems: list[InvalidConfig]) -> Settings:
    """Return the settings. Raises InvalidConfig with the earlier `problems` and those of the values."""
    tree: dict[str, Any] = {}
    for name, value in merged.items():
        section, _, leaf = name.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[leaf] = value.value
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False)
        raise _together([*problems, *(_refusal(one, merged, names) for one in wrong)]) from error
    if problems:
        raise _together(problems)
    return settings


def _together(problems: Sequence[InvalidConfig]) -> InvalidConfig:
    """Return one error that tells of all."""
    if len(problems) == 1:
        return problems[0]
    told = "".join(f"\n  {one}" for one in problems[:_TOLD_PROBLEMS])
    more = len(problems) - _TOLD_PROBLEMS
    return InvalidConfig(
        "", f"{len(problems)} settings are wrong:{told}" + (f"\n  and {more} more" if more > 0 else "")
    )


def _refusal(error: ErrorDetails, merged: Mapping[str, _Value], names: Mapping[str, FieldInfo]) -> InvalidConfig:
    """Name a wrong field as its writer knows it, what is allowed, and what stood there."""
    parts = [str(part) for part in error["loc"]]
    # Below a field whose type is a choice, the location goes on with the choices.
    name = next((found for end in range(len(parts), 0, -1) if (found := ".".join(parts[:end])) in names), "")
    if not name:
        section = ".".join(parts)
        concerned = ", ".join(value.written for key, value in merged.items() if key.startswith(f"{section}."))
        return InvalidConfig(section, _plain(error) + (f"; set by {concerned}" if concerned else ""))
    written = merged[name].written
    if error["type"] == "value_error":
        return InvalidConfig(written, _plain(error))
    found = _HIDDEN if names[name].annotation is SecretStr else repr(error["input"])
    unit = _unit(names[name])
    limit = allowed(names[name]) + ("" if unit in _PLAIN_UNITS else f" {unit}")
    return InvalidConfig(written, f"must be {limit}, got {found}")


def _plain(error: ErrorDetails) -> str:
    return error["msg"].removeprefix("Value error, ")
