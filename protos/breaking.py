"""Tells whether the .proto files still understand what was written with them: `contract.binpb` is what they said before.

Fields, enum values, methods and messages may be added. Nothing that was there may be removed, renumbered, renamed or
retyped: events stay in logs for years, and clients are not updated when the service is.

`--check` says what breaks, and whether the file knows of everything that was added. Without it additions are entered.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

ROOT = Path(__file__).resolve().parent
CONTRACT = ROOT / "contract.binpb"


def describe(root: Path) -> FileDescriptorSet:
    """Return the descriptors of all .proto files below `root`, without their comments. Exits where protoc does."""
    from grpc_tools import protoc

    protos = sorted(root.glob("thumbwheel/**/*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        status = protoc.main(["protoc", f"-I{root}", f"--descriptor_set_out={out}", *map(str, protos)])
        if status:
            sys.exit(f"protoc ended with status {status}")
        return FileDescriptorSet.FromString(out.read_bytes())


def breaks(before: FileDescriptorSet, now: FileDescriptorSet) -> list[str]:
    """Return a sentence on each thing that whoever knows `before` relies on and that is not so any more."""
    old, new = _messages(before), _messages(now)
    found = [f"message {name} was removed" for name in old.keys() - new.keys()]
    for name in old.keys() & new.keys():
        found += _field_breaks(name, old[name], new[name])
    old_enums, new_enums = _enums(before), _enums(now)
    found += [f"enum {name} was removed" for name in old_enums.keys() - new_enums.keys()]
    for name in old_enums.keys() & new_enums.keys():
        found += _value_breaks(name, old_enums[name], new_enums[name])
    old_methods, new_methods = _methods(before), _methods(now)
    found += [f"method {name} was removed" for name in old_methods.keys() - new_methods.keys()]
    for name in old_methods.keys() & new_methods.keys():
        if _signature(old_methods[name]) != _signature(new_methods[name]):
            was, is_ = _signature(old_methods[name]), _signature(new_methods[name])
            found.append(f"method {name} was {was} and is {is_}")
    return sorted(found)


def _field_breaks(message: str, before: DescriptorProto, now: DescriptorProto) -> Iterator[str]:
    by_number = {field.number: field for field in now.field}
    names = {field.name: field.number for field in now.field}
    for field in before.field:
        what = f"{message}.{field.name} = {field.number}"
        other = by_number.get(field.number)
        if other is None:
            moved = names.get(field.name)
            yield f"field {what} was {f'renumbered to {moved}' if moved else 'removed'}: what was written with it is lost"
        elif other.name != field.name:
            yield f"field {what} has its number taken by {other.name}: what was written with it would be read as that"
        elif _kind(before, field) != _kind(now, other):
            yield f"field {what} was {_kind(before, field)} and is {_kind(now, other)}: what was written is misread"


def _value_breaks(enum: str, before: EnumDescriptorProto, now: EnumDescriptorProto) -> Iterator[str]:
    known = {value.name: value.number for value in now.value}
    for value in before.value:
        if value.name not in known:
            yield f"value {enum}.{value.name} = {value.number} was removed"
        elif known[value.name] != value.number:
            yield f"value {enum}.{value.name} = {value.number} was renumbered to {known[value.name]}"


def _kind(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    """Return all of a field's type that its readers rely on, in words."""
    base = field.type_name.lstrip(".") or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        base = f"repeated {base}"
    if field.proto3_optional:
        return f"optional {base}"
    return f"{base} in oneof {message.oneof_decl[field.oneof_index].name}" if field.HasField("oneof_index") else base


def _signature(method: MethodDescriptorProto) -> str:
    sides = (method.input_type, method.client_streaming), (method.output_type, method.server_streaming)
    return " -> ".join(f"{'stream ' if streams else ''}{kind.lstrip('.')}" for kind, streams in sides)


def _messages(files: FileDescriptorSet) -> dict[str, DescriptorProto]:
    tops = ((file.package, message) for file in files.file for message in file.message_type)
    return {name: message for scope, top in tops for name, message in _nested(scope, top)}


def _nested(scope: str, message: DescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    name = f"{scope}.{message.name}"
    yield name, message
    for inner in message.nested_type:
        yield from _nested(name, inner)


def _enums(files: FileDescriptorSet) -> dict[str, EnumDescriptorProto]:
    top = {f"{file.package}.{one.name}": one for file in files.file for one in file.enum_type}
    inner = {f"{name}.{one.name}": one for name, message in _messages(files).items() for one in message.enum_type}
    return top | inner


def _methods(files: FileDescriptorSet) -> dict[str, MethodDescriptorProto]:
    return {
        f"{file.package}.{service.name}/{method.name}": method
        for file in files.file
        for service in file.service
        for method in service.method
    }


def main() -> None:
    """Check, and without `--check` enter what was added."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with status 1 also if additions are not entered")
    check = parser.parse_args().check
    now = describe(ROOT)
    before = FileDescriptorSet.FromString(CONTRACT.read_bytes()) if CONTRACT.exists() else FileDescriptorSet()
    if found := breaks(before, now):
        sys.exit("\n".join(["the contract is broken:", *found, "take it back, and add beside it what is to be new"]))
    if before != now:
        if check:
            sys.exit(f"{CONTRACT.name} does not know of what was added: run `make protos`")
        CONTRACT.write_bytes(now.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
