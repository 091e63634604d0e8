"""A Protobuf descriptor written as the text of a `.proto` file: the one form by which schemas are compared.

The layout is that of Confluent's registry: reserved numbers, options, fields, oneofs, extensions, nested
types, and no comments. Types stand with their whole names, as text and descriptor of one schema must end as
the same words.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    Edition,
    EnumDescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)
from google.protobuf.message import Message

from schema_registry.domain.errors import invalid_schema
from schema_registry.domain.protobuf_options import Option, OptionReader, quoted

EDITION_MAX = Edition.EDITION_2023
"""The newest edition whose every word is written out here; a newer one is refused rather than shortened."""

NUMBER_MAX = 2**29 - 1
ENUM_NUMBER_MAX = 2**31 - 1
LABELS = {
    FieldDescriptorProto.LABEL_OPTIONAL: "optional ",
    FieldDescriptorProto.LABEL_REQUIRED: "required ",
    FieldDescriptorProto.LABEL_REPEATED: "repeated ",
}
QUOTED_DEFAULTS = {FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_BYTES}

Nested = Mapping[str, DescriptorProto]
"""The messages that are declared at one place, by their names."""

Part = tuple[set[str], list[str]]
"""The messages that compilers make for maps and groups of a part, and the lines of the part."""


def protobuf_text(
    file: FileDescriptorProto, options: OptionReader, *, normalize: bool = False, extensions: bool = True
) -> str:
    """The one form of a file. Raises `RegistryError` for what cannot be written without losing something.

    With `normalize` also what has no order is put in order; without `extensions` they are left out, and the
    options that need them.
    """
    return _Writer(file, options, normalize=normalize, extensions=extensions).text()


class _Writer:
    """Writes one file."""

    def __init__(
        self, file: FileDescriptorProto, options: OptionReader, *, normalize: bool, extensions: bool
    ) -> None:
        self._file = file
        self._options = options
        self._normalize = normalize
        self._extensions = extensions
        self._labels = not file.syntax or file.syntax == "proto2"
        """Whether each field says how often it stands; later forms of the language leave that out."""

    def text(self) -> str:
        file = self._file
        if file.syntax == "editions" and file.edition > EDITION_MAX:
            raise invalid_schema("editions after 2023 are not known here")
        package = [f"package {file.package};"] if file.package else []
        extends = self._extends(file.extension, _by_name(file.message_type))
        types, (extends,) = self._types(file.message_type, [extends], made_first=False)
        groups = [
            [self._language(), *package],
            self._imports(),
            self._statements(file.options),
            [*types, *(line for one in file.enum_type for line in self._enum(one))],
            _lines(extends),
            [line for one in file.service for line in self._service(one)],
        ]
        return "\n\n".join("\n".join(group) for group in groups if group) + "\n"

    def _language(self) -> str:
        if self._file.syntax == "editions":
            return f"edition = {quoted(Edition.Name(self._file.edition).removeprefix('EDITION_'))};"
        return f"syntax = {quoted(self._file.syntax or 'proto2')};"

    def _imports(self) -> list[str]:
        file = self._file
        kinds = dict.fromkeys(file.public_dependency, "public ")
        kinds |= dict.fromkeys(file.weak_dependency, "weak ")
        found = [(kinds.get(index, ""), name) for index, name in enumerate(file.dependency)]
        if self._normalize:
            found = sorted(set(found))
        found.sort(key=lambda one: one[0] == "public ")
        return [f"import {kind}{quoted(name)};" for kind, name in found]

    def _types(
        self, messages: Sequence[DescriptorProto], parts: list[list[Part]], *, made_first: bool
    ) -> tuple[list[str], list[list[Part]]]:
        """The messages of one place, and the parts that do not have to stand among them.

        Records name their message by its place among all, those counted that compilers make for maps and
        groups. So where these do not all come `made_first`, or last, their parts stand where they come.
        """
        made = {name: part for group in parts for part in group for name in part[0]}
        kinds = [one.name in made for one in messages]
        if kinds == sorted(kinds, reverse=made_first):
            made_lines: dict[str, Part] = {}
        else:
            made_lines = made
            parts = [[part for part in group if not part[0]] for group in parts]
        lines: list[str] = []
        written: set[int] = set()
        for one in messages:
            if one.name not in made:
                lines += _braced(f"message {one.name}", self._body(one))
            elif one.name in made_lines and id(made_lines[one.name]) not in written:
                written.add(id(made_lines[one.name]))
                lines += made_lines[one.name][1]
        return lines, parts

    def _body(self, message: DescriptorProto) -> list[str]:
        """What stands between the braces, indented."""
        reserved = [(one.start, one.end - 1) for one in message.reserved_range]
        extends = self._extends(message.extension, _by_name(message.nested_type))
        types, (fields, oneofs, extends) = self._types(
            message.nested_type, [self._lone_fields(message), self._oneofs(message), extends], made_first=True
        )
        groups = [
            self._reserved(reserved, message.reserved_name, NUMBER_MAX),
            self._statements(message.options),
            _lines(fields),
            _lines(oneofs),
            self._extension_ranges(message) if self._extensions else [],
            _lines(extends),
            [*types, *(line for one in message.enum_type for line in self._enum(one))],
        ]
        return [
            f"  {line}" if line else line
            for index, group in enumerate(group for group in groups if group)
            for line in ([""] if index else []) + group
        ]

    def _lone_fields(self, message: DescriptorProto) -> list[Part]:
        fields = self._ordered(
            (one for one in message.field if not _in_oneof(one)), lambda field: int(field.number)
        )
        nested = _by_name(message.nested_type)
        return [self._part([one], nested) for one in fields]

    def _oneofs(self, message: DescriptorProto) -> list[Part]:
        members: dict[int, list[FieldDescriptorProto]] = {}
        for one in message.field:
            if _in_oneof(one):
                members.setdefault(one.oneof_index, []).append(one)
        found = [
            (index, self._ordered(fields, lambda field: int(field.number)))
            for index, fields in sorted(members.items())
        ]
        nested = _by_name(message.nested_type)
        parts: list[Part] = []
        for index, fields in self._ordered(found, lambda one: int(one[1][0].number)):
            oneof = message.oneof_decl[index]
            made, lines = self._part(fields, nested, label=False)
            inside = self._statements(oneof.options) + lines
            parts.append((made, [f"oneof {oneof.name} {{", *(f"  {line}" for line in inside), "}"]))
        return parts

    def _extends(self, extensions: Iterable[FieldDescriptorProto], nested: Nested) -> list[Part]:
        parts: list[Part] = []
        for extendee, fields in groupby(extensions, key=lambda one: one.extendee):
            made, lines = self._part(list(fields), nested)
            parts.append((made, [f"extend {extendee} {{", *(f"  {line}" for line in lines), "}"]))
        return parts if self._extensions else [(made, []) for made, _lines_of in parts]

    def _part(self, fields: list[FieldDescriptorProto], nested: Nested, *, label: bool = True) -> Part:
        made = {
            inner.name
            for one in fields
            if (inner := _inner(one, nested)) is not None
            and (inner.options.map_entry or one.type == FieldDescriptorProto.TYPE_GROUP)
        }
        return made, [line for one in fields for line in self._field(one, nested, label=label)]

    def _field(self, field: FieldDescriptorProto, nested: Nested, *, label: bool = True) -> Iterator[str]:
        inner = _inner(field, nested)
        options = self._field_options(field)
        if inner is not None and inner.options.map_entry:
            key, value = (self._type(one) for one in inner.field)
            yield from _with_options(f"map<{key}, {value}> {field.name} = {field.number}", options)
            return
        said = self._label(field) if label else ""
        if field.type == FieldDescriptorProto.TYPE_GROUP and inner is not None:
            start = list(_with_options(f"{said}group {inner.name} = {field.number}", options))
            yield from start[:-1]
            yield start[-1].removesuffix(";") + " {"
            yield from self._body(inner)
            yield "}"
            return
        yield from _with_options(f"{said}{self._type(field)} {field.name} = {field.number}", options)

    def _label(self, field: FieldDescriptorProto) -> str:
        if self._labels or field.label == FieldDescriptorProto.LABEL_REPEATED or field.proto3_optional:
            return LABELS[field.label]
        return ""

    def _type(self, field: FieldDescriptorProto) -> str:
        kind = FieldDescriptorProto.Type.Name(field.type)
        return field.type_name or kind.removeprefix("TYPE_").lower()

    def _field_options(self, field: FieldDescriptorProto) -> list[Option]:
        found = self._read(field.options)
        if field.HasField("default_value"):
            # The default of bytes is escaped in the descriptor already.
            value = field.default_value
            if field.type == FieldDescriptorProto.TYPE_BYTES:
                value = f'"{value}"'
            elif field.type in QUOTED_DEFAULTS:
                value = quoted(value)
            found.append(("default", value))
        if field.json_name and not field.extendee and field.json_name != _json_name(field.name):
            found.append(("json_name", quoted(field.json_name)))
        return self._ordered(found, lambda option: option[0])

    def _extension_ranges(self, message: DescriptorProto) -> list[str]:
        return [
            line
            for one in message.extension_range
            for line in _with_options(
                f"extensions {_range(one.start, one.end - 1, NUMBER_MAX)}", self._read(one.options)
            )
        ]

    def _enum(self, enum: EnumDescriptorProto) -> Iterator[str]:
        yield f"enum {enum.name} {{"
        lines = self._reserved(
            [(one.start, one.end) for one in enum.reserved_range], enum.reserved_name, ENUM_NUMBER_MAX
        )
        lines += self._statements(enum.options)
        # The first value is the one that holds where none was sent: it stays the first.
        for value in [*enum.value[:1], *self._ordered(enum.value[1:], _place)]:
            lines += _with_options(f"{value.name} = {value.number}", self._read(value.options))
        yield from (f"  {line}" for line in lines)
        yield "}"

    def _service(self, service: ServiceDescriptorProto) -> Iterator[str]:
        yield f"service {service.name} {{"
        yield from (f"  {line}" for line in self._statements(service.options))
        for one in service.method:
            sent = f"{'stream ' if one.client_streaming else ''}{one.input_type}"
            answered = f"{'stream ' if one.server_streaming else ''}{one.output_type}"
            start = f"  rpc {one.name} ({sent}) returns ({answered})"
            options = self._statements(one.options)
            if options:
                yield f"{start} {{"
                yield from (f"    {line}" for line in options)
                yield "  }"
            else:
                yield f"{start};"
        yield "}"

    def _reserved(self, ranges: list[tuple[int, int]], names: Iterable[str], highest: int) -> list[str]:
        numbers = self._ordered(ranges, lambda one: one)
        words = [name if self._file.syntax == "editions" else quoted(name) for name in names]
        words = self._ordered(words, lambda word: word)
        found = [*(_range(start, end, highest) for start, end in numbers), *words]
        return [f"reserved {one};" for one in found]

    def _statements(self, options: Message) -> list[str]:
        found = self._ordered(self._read(options), lambda option: option[0])
        return [f"option {name} = {value};" for name, value in found]

    def _read(self, options: Message) -> list[Option]:
        return self._options.read(options, extensions=self._extensions) if options.ByteSize() else []

    def _ordered(self, found: Iterable[Any], key: Callable[[Any], Any]) -> list[Any]:
        """What has no meaning in its order, in the order it came or, normalised, in one that is the same."""
        return sorted(found, key=key) if self._normalize else list(found)


def _place(value: EnumValueDescriptorProto) -> tuple[int, str]:
    return value.number, value.name


def _in_oneof(field: FieldDescriptorProto) -> bool:
    """Whether a person wrote it so; `optional` is a oneof of its own to compilers alone."""
    return field.HasField("oneof_index") and not field.proto3_optional


def _by_name(messages: Iterable[DescriptorProto]) -> Nested:
    return {one.name: one for one in messages}


def _inner(field: FieldDescriptorProto, nested: Nested) -> DescriptorProto | None:
    """The message of a field among those declared beside it, which maps and groups have."""
    return nested.get(field.type_name.rpartition(".")[2])


def _braced(start: str, body: list[str]) -> list[str]:
    return [f"{start} {{", *body, "}"] if body else [f"{start} {{}}"]


def _lines(parts: Iterable[Part]) -> list[str]:
    return [line for _made, lines in parts for line in lines]


def _with_options(start: str, options: list[Option]) -> Iterator[str]:
    if not options:
        yield f"{start};"
    elif len(options) == 1:
        yield f"{start} [{options[0][0]} = {options[0][1]}];"
    else:
        yield f"{start} ["
        for index, (name, value) in enumerate(options):
            yield f"  {name} = {value}{',' if index < len(options) - 1 else ''}"
        yield "];"


def _range(start: int, end: int, highest: int) -> str:
    if start == end:
        return str(start)
    return f"{start} to {'max' if end >= highest else end}"


def _json_name(name: str) -> str:
    """The name in JSON that the compiler gives by itself."""
    words = name.split("_")
    return words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])
