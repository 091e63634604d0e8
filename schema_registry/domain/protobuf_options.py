"""Protobuf files with their types resolved, and the options in them as they are written."""

from typing import Any

from google.protobuf import message_factory, text_format
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DESCRIPTOR as DESCRIPTORS
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from schema_registry.domain.errors import invalid_schema

ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}

TAGGING = ("confluent.message_meta", "confluent.field_meta")
"""Extensions that carry tags, as the clients of Confluent's registry bring them."""

Option = tuple[str, str]
"""Name and value, both as they are written."""


def linked(files: FileDescriptorSet, pool: DescriptorPool | None = None) -> FileDescriptor:
    """The last of the files with its types resolved. Raises `RegistryError` when they do not fit together."""
    try:
        return (pool or pool_of(files)).FindFileByName(files.file[-1].name)
    except KeyError as error:
        raise invalid_schema(str(error)) from None


class OptionReader:
    """Reads options with the extensions that the imports of a schema define."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    @classmethod
    def of(cls, files: FileDescriptorSet) -> "OptionReader":
        return cls(pool_of(files))

    def read(self, options: Message, *, extensions: bool = True) -> list[Option]:
        found = self._known(options)
        if extensions and len(UnknownFieldSet(found)):
            raise invalid_schema("it has options that none of its imports defines")
        return [
            (f"({field.full_name})" if field.is_extension else field.name, written)
            for field, value in found.ListFields()
            if extensions or not field.is_extension
            for written in self._values(field, value)
        ]

    def tags(self, options: Message) -> tuple[str, ...]:
        """The tags that Confluent's options give to a message or a field."""
        if not options.ByteSize():
            return ()
        return tuple(
            str(tag)
            for field, value in self._known(options).ListFields()
            if field.full_name in TAGGING
            for tag in value.tags
        )

    def _known(self, options: Message) -> Message:
        """The options with the extensions that the imports define."""
        kind = self._pool.FindMessageTypeByName(options.DESCRIPTOR.full_name)
        found = message_factory.GetMessageClass(kind)()
        found.ParseFromString(options.SerializeToString())
        return found

    def _values(self, field: FieldDescriptor, value: Any) -> list[str]:
        return [self._value(field, one) for one in (value if field.is_repeated else [value])]

    def _value(self, field: FieldDescriptor, value: Any) -> str:
        if field.message_type is not None:
            inside = text_format.MessageToString(value, as_one_line=True, descriptor_pool=self._pool)
            return f"{{ {inside} }}" if inside else "{}"
        if field.enum_type is not None:
            if value not in field.enum_type.values_by_number:
                raise invalid_schema(f"the option {field.name} has a value without a name")
            return field.enum_type.values_by_number[value].name
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | bytes):
            return quoted(value)
        return str(value)


def quoted(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return '"' + "".join(_escaped(chr(byte), byte) for byte in value) + '"'
    return '"' + "".join(_escaped(one, ord(one) if ord(one) < ord(" ") else None) for one in value) + '"'


def _escaped(character: str, code: int | None) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if code is None or " " <= character <= "~":
        return character
    return f"\\{code:03o}"


def pool_of(files: FileDescriptorSet) -> DescriptorPool:
    pool = DescriptorPool()
    try:
        if all(file.name != DESCRIPTORS.name for file in files.file):
            pool.AddSerializedFile(DESCRIPTORS.serialized_pb)
        for file in files.file:
            pool.AddSerializedFile(file.SerializeToString())
    except TypeError as error:
        raise invalid_schema(str(error)) from None
    return pool
