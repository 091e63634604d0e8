"""Whether readers of one Protobuf schema understand records written with another: one rule, one function.

The rules are Confluent's, which follow Protobuf's own advice for changing messages. They are stricter where
records could be refused otherwise: bytes do not become text, fields do not become required, oneofs are not
joined, and extensions are held to the rules of fields.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto

from schema_registry.domain.protobuf_differences import ProtobufDifference
from schema_registry.domain.protobuf_differences import ProtobufKind as Kind
from schema_registry.domain.protobuf_documents import ProtobufDocument

F = FieldDescriptor
TEXTUAL = {F.TYPE_STRING, F.TYPE_BYTES}
WIRE_GROUPS: Mapping[int, str] = {
    **dict.fromkeys(
        (F.TYPE_INT32, F.TYPE_INT64, F.TYPE_UINT32, F.TYPE_UINT64, F.TYPE_BOOL, F.TYPE_ENUM), "varint"
    ),
    **dict.fromkeys((F.TYPE_SINT32, F.TYPE_SINT64), "zigzag"),
    **dict.fromkeys((F.TYPE_FIXED32, F.TYPE_SFIXED32), "fixed32"),
    **dict.fromkeys((F.TYPE_FIXED64, F.TYPE_SFIXED64), "fixed64"),
    F.TYPE_FLOAT: "float",
    F.TYPE_DOUBLE: "double",
    F.TYPE_STRING: "text or bytes",
    F.TYPE_BYTES: "text or bytes",
}
"""Scalar types of one group are written alike, so that any of them reads what another one wrote.

Source: the Protobuf language guide, "Updating A Message Type".
"""


@dataclass(frozen=True, slots=True)
class _FieldKinds:
    """What a field is called that one side alone has: as an alternative, as a required one, as any other."""

    in_oneof: Kind
    required: Kind
    any_other: Kind


_REMOVED = _FieldKinds(Kind.ONEOF_FIELD_REMOVED, Kind.REQUIRED_FIELD_REMOVED, Kind.FIELD_REMOVED)
_ADDED = _FieldKinds(Kind.ONEOF_FIELD_ADDED, Kind.REQUIRED_FIELD_ADDED, Kind.FIELD_ADDED)


def protobuf_differences(original: ProtobufDocument, update: ProtobufDocument) -> list[ProtobufDifference]:
    """Every difference between the two, those of imported messages among them."""
    return list(_Comparison(original.linked(), update.linked()).differences())


@dataclass(frozen=True, slots=True)
class _Pair:
    original: Descriptor
    update: Descriptor


class _Comparison:
    """Compares each pair of messages once, so that messages may hold each other."""

    def __init__(self, original: FileDescriptor, update: FileDescriptor) -> None:
        self._original = original
        self._update = update
        self._waiting: deque[_Pair] = deque()
        self._seen: set[tuple[str, str]] = set()

    def differences(self) -> Iterator[ProtobufDifference]:
        old, new = self._original, self._update
        if old.package != new.package:
            yield ProtobufDifference(Kind.PACKAGE_CHANGED, "#/")
        yield from self._declared("#", old.message_types_by_name, new.message_types_by_name)
        yield from _enums("#", old.enum_types_by_name, new.enum_types_by_name)
        yield from self._extensions()
        while self._waiting:
            pair = self._waiting.popleft()
            yield from self._messages(pair.original, pair.update)

    def _compare_later(self, original: Descriptor, update: Descriptor) -> None:
        names = (original.full_name, update.full_name)
        if names not in self._seen:
            self._seen.add(names)
            self._waiting.append(_Pair(original, update))

    def _declared(
        self, path: str, old: Mapping[str, Descriptor], new: Mapping[str, Descriptor]
    ) -> Iterator[ProtobufDifference]:
        """Messages of one place by their names; those that only stand for maps are not declared by people."""
        before, after = (_places(found) for found in (old, new))
        for name in _names(before, after):
            here = f"{path}/{name}"
            if name not in after:
                yield ProtobufDifference(Kind.MESSAGE_REMOVED, here)
            elif name not in before:
                yield ProtobufDifference(Kind.MESSAGE_ADDED, here)
            else:
                self._compare_later(old[name], new[name])
                if before[name] != after[name]:
                    yield ProtobufDifference(Kind.MESSAGE_MOVED, here)

    def _messages(self, old: Descriptor, new: Descriptor) -> Iterator[ProtobufDifference]:
        path = f"#/{_local_name(old).replace('.', '/')}"
        if old.GetOptions().message_set_wire_format != new.GetOptions().message_set_wire_format:
            yield ProtobufDifference(Kind.FIELD_KIND_CHANGED, path)
        yield from self._fields(old, new, path)
        yield from self._declared(path, old.nested_types_by_name, new.nested_types_by_name)
        yield from _enums(path, old.enum_types_by_name, new.enum_types_by_name)

    def _fields(self, old: Descriptor, new: Descriptor, path: str) -> Iterator[ProtobufDifference]:
        before, after = old.fields_by_number, new.fields_by_number
        was, becomes = _oneof_by_number(old), _oneof_by_number(new)
        yield from _oneofs(path, was, becomes)
        yield from _joined(path, sorted({*before} & {*after}), was, becomes)
        for number in sorted({*before, *after}):
            here = f"{path}/{number}"
            if number not in after:
                yield _alone(before[number], was, becomes, path, _REMOVED)
            elif number not in before:
                yield _alone(after[number], becomes, was, path, _ADDED)
            else:
                if number in was and number not in becomes:
                    yield ProtobufDifference(Kind.ONEOF_FIELD_MOVED_TO_TOP_LEVEL, here)
                yield from self._field(before[number], after[number], here)

    def _field(self, old: FieldDescriptor, new: FieldDescriptor, path: str) -> Iterator[ProtobufDifference]:
        if old.name != new.name:
            yield ProtobufDifference(Kind.FIELD_NAME_CHANGED, path)
        if new.is_required and not old.is_required:
            yield ProtobufDifference(Kind.REQUIRED_FIELD_ADDED, path)
        yield from self._types(old, new, path)

    def _types(self, old: FieldDescriptor, new: FieldDescriptor, path: str) -> Iterator[ProtobufDifference]:
        kind = _kind(old)
        if kind != _kind(new):
            yield ProtobufDifference(Kind.FIELD_KIND_CHANGED, path)
        elif kind == "scalar":
            yield from _scalars(old, new, path)
        elif kind == "map":
            for part in ("key", "value"):
                yield from self._types(_part(old, part), _part(new, part), path)
        else:
            held, holds = _message(old), _message(new)
            if _local_name(held) != _local_name(holds):
                yield ProtobufDifference(Kind.FIELD_NAMED_TYPE_CHANGED, path)
            else:
                self._compare_later(held, holds)

    def _extensions(self) -> Iterator[ProtobufDifference]:
        """Extensions of messages are fields that another file declares; those of options are in no record."""
        before, after = _extensions_of(self._original), _extensions_of(self._update)
        for extendee, number in sorted({*before, *after}):
            path = f"#/{extendee.replace('.', '/')}/{number}"
            old, new = before.get((extendee, number)), after.get((extendee, number))
            if old is None:
                yield ProtobufDifference(Kind.FIELD_ADDED, path)
            elif new is None:
                yield ProtobufDifference(Kind.FIELD_REMOVED, path)
            else:
                yield from self._field(old, new, path)


def _names(before: Iterable[str], after: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(chain(before, after)))


def _places(messages: Mapping[str, Descriptor]) -> dict[str, int]:
    """The place of each message among those that people declared."""
    declared = (name for name, one in messages.items() if not _is_map(one))
    return {name: place for place, name in enumerate(declared)}


def _local_name(message: Descriptor) -> str:
    """The name without the package of its file."""
    package = message.file.package
    return message.full_name.removeprefix(f"{package}.") if package else message.full_name


def _enums(
    path: str, old: Mapping[str, EnumDescriptor], new: Mapping[str, EnumDescriptor]
) -> Iterator[ProtobufDifference]:
    """Numbers without a name are kept by readers, so that nothing of this is incompatible by itself."""
    for name in _names(old, new):
        here = f"{path}/{name}"
        if name not in new:
            yield ProtobufDifference(Kind.ENUM_REMOVED, here)
        elif name not in old:
            yield ProtobufDifference(Kind.ENUM_ADDED, here)
        else:
            yield from _constants(old[name], new[name], here)


def _constants(old: EnumDescriptor, new: EnumDescriptor, path: str) -> Iterator[ProtobufDifference]:
    before, after = old.values_by_number, new.values_by_number
    for number in sorted({*before, *after}):
        if number not in after:
            yield ProtobufDifference(Kind.ENUM_CONST_REMOVED, f"{path}/{number}")
        elif number not in before:
            yield ProtobufDifference(Kind.ENUM_CONST_ADDED, f"{path}/{number}")
        elif before[number].name != after[number].name:
            yield ProtobufDifference(Kind.ENUM_CONST_CHANGED, f"{path}/{number}")


def _oneof_by_number(message: Descriptor) -> dict[int, str]:
    """The oneof of each field that is in one which somebody wrote."""
    declared = DescriptorProto()
    message.CopyToProto(declared)
    return {
        field.number: declared.oneof_decl[field.oneof_index].name
        for field in declared.field
        if field.HasField("oneof_index") and not field.proto3_optional
    }


def _oneofs(path: str, was: Mapping[int, str], becomes: Mapping[int, str]) -> Iterator[ProtobufDifference]:
    for name in _names(was.values(), becomes.values()):
        if name not in becomes.values():
            yield ProtobufDifference(Kind.ONEOF_REMOVED, f"{path}/{name}")
        elif name not in was.values():
            yield ProtobufDifference(Kind.ONEOF_ADDED, f"{path}/{name}")


def _joined(
    path: str, fields: Iterable[int], was: Mapping[int, str], becomes: Mapping[int, str]
) -> Iterator[ProtobufDifference]:
    """Fields that could stand together must not become alternatives: all but the last would be lost."""
    for name in _names((), becomes.values()):
        members = [number for number in fields if becomes.get(number) == name]
        alone = [number for number in members if number not in was]
        others = {was[number] for number in members if number in was}
        if len(alone) > 1:
            yield ProtobufDifference(Kind.MULTIPLE_FIELDS_MOVED_TO_ONEOF, f"{path}/{name}")
        elif len(alone) + len(others) > 1:
            yield ProtobufDifference(Kind.FIELD_MOVED_TO_EXISTING_ONEOF, f"{path}/{name}")


def _alone(
    field: FieldDescriptor, here: Mapping[int, str], there: Mapping[int, str], path: str, kinds: _FieldKinds
) -> ProtobufDifference:
    """A field that one side alone has; `here` are the oneofs of its own side, by the numbers of their fields.

    A reader could not tell an alternative it does not know from none at all.
    """
    oneof = here.get(field.number)
    if oneof is not None and oneof in there.values():
        return ProtobufDifference(kinds.in_oneof, f"{path}/{oneof}/{field.number}")
    kind = kinds.required if field.is_required else kinds.any_other
    return ProtobufDifference(kind, f"{path}/{field.number}")


def _kind(field: FieldDescriptor) -> str:
    if field.message_type is None:
        return "scalar"
    if _is_map(field.message_type):
        return "map"
    return "group" if field.type == F.TYPE_GROUP else "message"


def _part(field: FieldDescriptor, name: str) -> FieldDescriptor:
    """The key or the value of a map."""
    return _message(field).fields_by_name[name]


def _message(field: FieldDescriptor) -> Descriptor:
    """What a field of messages holds."""
    assert field.message_type is not None  # noqa: S101  narrows the type for mypy
    return field.message_type


def _is_map(message: Descriptor) -> bool:
    """Whether a message only stands for the entries of a map."""
    return bool(message.GetOptions().map_entry)


def _scalars(old: FieldDescriptor, new: FieldDescriptor, path: str) -> Iterator[ProtobufDifference]:
    if (
        WIRE_GROUPS[old.type] != WIRE_GROUPS[new.type]
        or (old.type == F.TYPE_BYTES and new.type == F.TYPE_STRING)
        or _misses_required(old, new)
    ):
        yield ProtobufDifference(Kind.FIELD_SCALAR_KIND_CHANGED, path)
    elif old.is_repeated != new.is_repeated:
        textual = new.type in TEXTUAL
        kind = Kind.FIELD_STRING_OR_BYTES_LABEL_CHANGED if textual else Kind.FIELD_NUMERIC_LABEL_CHANGED
        yield ProtobufDifference(kind, path)


def _misses_required(old: FieldDescriptor, new: FieldDescriptor) -> bool:
    """Whether a required field may come with a number that its closed enum takes for nothing at all."""
    names = new.enum_type
    if names is None or not names.is_closed or not new.is_required:
        return False
    known = set(names.values_by_number)
    return old.enum_type is None or not known >= set(old.enum_type.values_by_number)


def _extensions_of(file: FileDescriptor) -> dict[tuple[str, int], FieldDescriptor]:
    """Extensions of the file and of messages in it, by the message they extend and their number."""
    found: list[FieldDescriptor] = list(file.extensions_by_name.values())
    messages = list(file.message_types_by_name.values())
    for message in messages:
        found += message.extensions
        messages += message.nested_types
    extended = [(one.containing_type, one) for one in found]
    return {
        (_local_name(message), one.number): one
        for message, one in extended
        if message is not None and not message.full_name.startswith("google.protobuf.")
    }
