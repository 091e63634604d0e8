"""A Protobuf schema in its one form, with everything it imports.

Clients send either the text of a `.proto` file or, as Confluent's Python and JavaScript clients do, its
descriptor in base64. Both end as the same text.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError

from schema_registry.domain.errors import invalid_schema
from schema_registry.domain.protobuf_compiling import MAIN, compiled
from schema_registry.domain.protobuf_options import OptionReader, linked, pool_of, quoted
from schema_registry.domain.protobuf_texts import protobuf_text
from schema_registry.domain.tags import PartKind, Tagged

DEFAULT_NAME = "default"
"""A schema has no file name of its own; this one stands in descriptors that clients ask for."""

_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")
"""No `.proto` file is written with these characters alone."""


@dataclass(frozen=True, slots=True)
class ProtobufDocument:
    """A whole Protobuf schema."""

    text: str
    files: bytes = field(repr=False)
    """A `FileDescriptorSet`, the schema itself being the last."""

    def linked(self) -> FileDescriptor:
        """The schema with its types resolved. Raises `RegistryError` when its parts do not fit together."""
        return linked(FileDescriptorSet.FromString(self.files))

    def serialized(self) -> str:
        """The descriptor in base64, as clients ask for it by `format=serialized`."""
        own = _own(self.files)
        own.name = DEFAULT_NAME
        return base64.b64encode(own.SerializeToString(deterministic=True)).decode()

    def without_extensions(self) -> str:
        """The text without extensions and the options that need them."""
        own = _own(self.files)
        return protobuf_text(own, OptionReader.of(FileDescriptorSet()), extensions=False)

    def tags(self) -> list[Tagged]:
        """The messages and fields that carry tags in Confluent's options, by their names in the file."""
        files = FileDescriptorSet.FromString(self.files)
        reader = OptionReader.of(files)
        found: list[Tagged] = []
        waiting = [(one, "") for one in reversed(files.file[-1].message_type)]
        while waiting:
            message, scope = waiting.pop()
            name = f"{scope}{message.name}"
            found.append(Tagged(name, PartKind.RECORD, reader.tags(message.options)))
            found += (
                Tagged(f"{name}.{field.name}", PartKind.FIELD, reader.tags(field.options))
                for field in message.field
            )
            waiting.extend((one, f"{name}.") for one in reversed(message.nested_type))
        return [one for one in found if one.tags]


def read_protobuf(
    text: str, *, normalize: bool = False, references: Mapping[str, str] | None = None
) -> ProtobufDocument:
    """Parse and check a schema. Raises `RegistryError` for what is none, or cannot be judged here."""
    if not text.strip():
        raise invalid_schema("it is empty")
    named = {name: _source(other, {}) for name, other in (references or {}).items()}
    files = compiled(_source(text, named), named)
    found = FileDescriptorSet.FromString(files)
    pool = pool_of(found)
    linked(found, pool)
    written = protobuf_text(found.file[-1], OptionReader(pool), normalize=normalize)
    return ProtobufDocument(written, files)


def known_protobuf(text: str, references: Mapping[str, str] | None = None) -> ProtobufDocument:
    """A document that was checked when it was registered, here or elsewhere; the text stays as it is."""
    named = {name: _source(other, {}) for name, other in (references or {}).items()}
    return ProtobufDocument(text, compiled(_source(text, named), named))


def _own(files: bytes) -> FileDescriptorProto:
    return FileDescriptorSet.FromString(files).file[-1]


def _source(text: str, references: Mapping[str, str]) -> str:
    """The text for the compiler; a descriptor is written out first."""
    if not _BASE64.fullmatch(text):
        return text
    try:
        descriptor = FileDescriptorProto.FromString(base64.b64decode(text, validate=False))
    except (binascii.Error, DecodeError, ValueError):
        raise invalid_schema("it is neither a .proto file nor a descriptor in base64") from None
    if not descriptor.IsInitialized() or not _is_schema(descriptor):
        raise invalid_schema("it is neither a .proto file nor a descriptor in base64")
    files = FileDescriptorSet()
    if descriptor.dependency:
        imports = (f"import {quoted(name)};" for name in descriptor.dependency)
        files.ParseFromString(compiled("\n".join(['syntax = "proto3";', *imports]), references))
        del files.file[-1]
    # Its options may need extensions of its own.
    descriptor.name = MAIN
    files.file.append(descriptor)
    return protobuf_text(descriptor, OptionReader.of(files))


def _is_schema(descriptor: FileDescriptorProto) -> bool:
    """Any short bytes are a descriptor to the parser: what has no names in it is none to people."""
    declared = (descriptor.message_type, descriptor.enum_type, descriptor.service, descriptor.extension)
    return any(declared) or bool(descriptor.package or descriptor.dependency)
