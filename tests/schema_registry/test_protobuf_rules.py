"""Every rule by which Protobuf schemas are compared; a rule turned over is noticed; no record contradicts.

A vector is a base schema and the edits that lead to its update; it says all differences, not only those that
decide.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from schema_registry.domain import protobuf_differences as table
from schema_registry.domain.protobuf_comparison import protobuf_differences
from schema_registry.domain.protobuf_differences import COMPATIBLE, ProtobufKind
from schema_registry.domain.protobuf_documents import ProtobufDocument, read_protobuf

TASKS = """syntax = "proto3";
package tasks;
message Task {
  string id = 1;
  int32 price = 2;
  Money paid = 3;
  repeated string words = 4;
  repeated int32 marks = 5;
  map<string, int32> counts = 6;
  State state = 7;
  bytes picture = 8;
  oneof who {
    string person = 9;
    int32 robot = 10;
  }
  oneof where {
    string street = 11;
  }
  Inner inner = 12;
  sint32 balance = 13;
  fixed64 mark = 14;
  message Inner {
    int32 a = 1;
  }
}
message Money {
  int64 cents = 1;
}
enum State {
  OPEN = 0;
  DONE = 1;
}
"""
OLD = """syntax = "proto2";
message Task {
  required string id = 1;
  optional int32 price = 2;
  optional group Result = 3 {
    optional string words = 1;
  }
  required Kind kind = 4;
  optional int32 other = 5;
  optional Money paid = 6;
  extensions 100 to 199;
}
message Money {
  optional int64 cents = 1;
}
enum Kind {
  HARD = 1;
  SOFT = 2;
}
extend Task {
  optional int32 weight = 100;
}
"""
IMPORTING = """syntax = "proto3";
package tasks;
import "money.proto";
message Task {
  money.Money paid = 1;
}
"""
MONEY = """syntax = "proto3";
package money;
message Money { int64 cents = 1; Unit unit = 2; }
message Unit { int32 a = 1; }
"""


@dataclass(frozen=True)
class Vector:
    name: str
    base: str
    edits: tuple[tuple[str, str], ...]
    differences: tuple[str, ...]
    passes: bool
    backwards: bool = False
    """Whether the base is the update."""

    def documents(self) -> tuple[ProtobufDocument, ProtobufDocument]:
        text = self.base
        for old, new in self.edits:
            assert old in text
            text = text.replace(old, new)
        both = read_protobuf(self.base), read_protobuf(text)
        return (both[1], both[0]) if self.backwards else both


def vector(name: str, base: str, *edits: tuple[str, str], says: str = "", passes: bool) -> Vector:
    return Vector(name, base, edits, tuple(says.split("; ") if says else ()), passes)


def back(one: Vector, says: str, *, passes: bool) -> Vector:
    return Vector(f"{one.name}, turned round", one.base, one.edits, tuple(says.split("; ")), passes, True)


NEW_FIELD = vector(
    "a new field", TASKS, ("fixed64 mark = 14;", "fixed64 mark = 14; string more = 15;"),
    says="FIELD_ADDED #/Task/15", passes=True,
)  # fmt: skip
NEW_REQUIRED = vector(
    "a new required field", OLD, ("extensions", "required string more = 7; extensions"),
    says="REQUIRED_FIELD_ADDED #/Task/7", passes=False,
)  # fmt: skip
BECOMES_REQUIRED = vector(
    "a field becomes required", OLD, ("optional int32 price", "required int32 price"),
    says="REQUIRED_FIELD_ADDED #/Task/2", passes=False,
)  # fmt: skip
NEW_MESSAGE = vector(
    "a new message", TASKS, ("message Money", "message New {} message Money"),
    says="MESSAGE_ADDED #/New; MESSAGE_MOVED #/Money", passes=True,
)  # fmt: skip
NEW_NESTED = vector(
    "a new message inside", TASKS, ("message Inner {", "message New {} message Inner {"),
    says="MESSAGE_ADDED #/Task/New; MESSAGE_MOVED #/Task/Inner", passes=True,
)  # fmt: skip
NEW_ENUM = vector(
    "a new enum", TASKS, ("enum State", "enum New { NEW = 0; } enum State"),
    says="ENUM_ADDED #/New", passes=True,
)  # fmt: skip
NEW_VALUE = vector(
    "a new value", TASKS, ("DONE = 1;", "DONE = 1; LOST = 2;"),
    says="ENUM_CONST_ADDED #/State/2", passes=True,
)  # fmt: skip
NEW_ALTERNATIVE = vector(
    "a new alternative", TASKS, ("int32 robot = 10;", "int32 robot = 10; int32 bird = 15;"),
    says="ONEOF_FIELD_ADDED #/Task/who/15", passes=True,
)  # fmt: skip
NEW_ONEOF = vector(
    "one field becomes a oneof", TASKS, ("string id = 1;", "oneof what { string id = 1; string name = 15; }"),
    says="ONEOF_ADDED #/Task/what; FIELD_ADDED #/Task/15", passes=True,
)  # fmt: skip
ENUM_FOR_NUMBER = vector(
    "an enum for a number", TASKS, ("int32 price", "State price"), says="", passes=True,
)  # fmt: skip
TEXT_TO_BYTES = vector("text becomes bytes", TASKS, ("string id", "bytes id"), says="", passes=True)
REPEATED_TEXT = vector(
    "text is repeated", TASKS, ("string id", "repeated string id"),
    says="FIELD_STRING_OR_BYTES_LABEL_CHANGED #/Task/1", passes=True,
)  # fmt: skip

VECTORS = [
    vector("nothing", TASKS, says="", passes=True),
    vector("another package", TASKS, ("package tasks;", "package other;"),
           says="PACKAGE_CHANGED #/", passes=False),
    NEW_FIELD,
    back(NEW_FIELD, "FIELD_REMOVED #/Task/15", passes=True),
    NEW_REQUIRED,
    back(NEW_REQUIRED, "REQUIRED_FIELD_REMOVED #/Task/7", passes=False),
    BECOMES_REQUIRED,
    vector("a field is no longer required", OLD, ("required string id", "optional string id"),
           says="", passes=True),
    NEW_MESSAGE,
    back(NEW_MESSAGE, "MESSAGE_MOVED #/Money; MESSAGE_REMOVED #/New", passes=False),
    NEW_NESTED,
    back(NEW_NESTED, "MESSAGE_MOVED #/Task/Inner; MESSAGE_REMOVED #/Task/New", passes=False),
    NEW_ENUM,
    back(NEW_ENUM, "ENUM_REMOVED #/New", passes=True),
    NEW_VALUE,
    back(NEW_VALUE, "ENUM_CONST_REMOVED #/State/2", passes=True),
    vector("a value has another name", TASKS, ("DONE", "READY"),
           says="ENUM_CONST_CHANGED #/State/1", passes=True),
    vector("another name", TASKS, ("string id", "string key"),
           says="FIELD_NAME_CHANGED #/Task/1", passes=True),
    vector("another number", TASKS, ("string id = 1", "string id = 15"),
           says="FIELD_REMOVED #/Task/1; FIELD_ADDED #/Task/15", passes=True),
    vector("a wider number", TASKS, ("int32 price", "int64 price"), says="", passes=True),
    vector("a number as a truth", TASKS, ("int32 price", "bool price"), says="", passes=True),
    ENUM_FOR_NUMBER,
    TEXT_TO_BYTES,
    back(TEXT_TO_BYTES, "FIELD_SCALAR_KIND_CHANGED #/Task/1", passes=False),
    vector("zigzag numbers of another size", TASKS, ("sint32 balance", "sint64 balance"),
           says="", passes=True),
    vector("fixed numbers with a sign", TASKS, ("fixed64 mark", "sfixed64 mark"), says="", passes=True),
    vector("zigzag", TASKS, ("int32 price", "sint32 price"),
           says="FIELD_SCALAR_KIND_CHANGED #/Task/2", passes=False),
    vector("a number becomes text", TASKS, ("int32 price", "string price"),
           says="FIELD_SCALAR_KIND_CHANGED #/Task/2", passes=False),
    vector("fixed numbers of another size", TASKS, ("fixed64 mark", "fixed32 mark"),
           says="FIELD_SCALAR_KIND_CHANGED #/Task/14", passes=False),
    vector("a fraction for a fixed number", TASKS, ("fixed64 mark", "double mark"),
           says="FIELD_SCALAR_KIND_CHANGED #/Task/14", passes=False),
    vector("a smaller fraction", TASKS.replace("fixed64 mark", "double mark"), ("double mark", "float mark"),
           says="FIELD_SCALAR_KIND_CHANGED #/Task/14", passes=False),
    vector("a message for a number", TASKS, ("int32 price", "Money price"),
           says="FIELD_KIND_CHANGED #/Task/2", passes=False),
    vector("a map for a message", TASKS, ("Money paid", "map<string, Money> paid"),
           says="FIELD_KIND_CHANGED #/Task/3", passes=False),
    vector("a group becomes a message", OLD,
           ("optional group Result = 3 {\n    optional string words = 1;\n  }",
            "message Result { optional string words = 1; } optional Result result = 3;"),
           says="FIELD_KIND_CHANGED #/Task/3", passes=False),
    vector("a message of another name", TASKS, ("Money paid", "Inner paid"),
           says="FIELD_NAMED_TYPE_CHANGED #/Task/3", passes=False),
    vector("values of a map", TASKS, ("map<string, int32>", "map<string, string>"),
           says="FIELD_SCALAR_KIND_CHANGED #/Task/6", passes=False),
    vector("keys of a map", TASKS, ("map<string, int32>", "map<int32, int32>"),
           says="FIELD_SCALAR_KIND_CHANGED #/Task/6", passes=False),
    vector("messages in a map", TASKS, ("map<string, int32>", "map<string, Money>"),
           says="FIELD_KIND_CHANGED #/Task/6", passes=False),
    vector("a number is repeated", TASKS, ("int32 price", "repeated int32 price"),
           says="FIELD_NUMERIC_LABEL_CHANGED #/Task/2", passes=False),
    vector("a number is no longer repeated", TASKS, ("repeated int32 marks", "int32 marks"),
           says="FIELD_NUMERIC_LABEL_CHANGED #/Task/5", passes=False),
    REPEATED_TEXT,
    back(REPEATED_TEXT, "FIELD_STRING_OR_BYTES_LABEL_CHANGED #/Task/1", passes=True),
    vector("a message is repeated", TASKS, ("Money paid", "repeated Money paid"), says="", passes=True),
    vector("a number may be left out", TASKS, ("int32 price", "optional int32 price"), says="", passes=True),
    NEW_ALTERNATIVE,
    back(NEW_ALTERNATIVE, "ONEOF_FIELD_REMOVED #/Task/who/15", passes=False),
    NEW_ONEOF,
    back(NEW_ONEOF, "ONEOF_REMOVED #/Task/what; ONEOF_FIELD_MOVED_TO_TOP_LEVEL #/Task/1; "
         "FIELD_REMOVED #/Task/15", passes=True),
    vector("two fields become a oneof", TASKS,
           ("string id = 1;\n  int32 price = 2;", "oneof what { string id = 1; int32 price = 2; }"),
           says="ONEOF_ADDED #/Task/what; MULTIPLE_FIELDS_MOVED_TO_ONEOF #/Task/what", passes=False),
    vector("a field moves into a oneof", TASKS, ("string id = 1;", ""), ("where {", "where { string id = 1;"),
           says="FIELD_MOVED_TO_EXISTING_ONEOF #/Task/where", passes=False),
    vector("two oneofs become one", TASKS, ("  }\n  oneof where {\n", ""),
           says="ONEOF_REMOVED #/Task/where; FIELD_MOVED_TO_EXISTING_ONEOF #/Task/who", passes=False),
    vector("a oneof has another name", TASKS, ("oneof where", "oneof place"),
           says="ONEOF_REMOVED #/Task/where; ONEOF_ADDED #/Task/place", passes=True),
    vector("another type in a oneof of another name", TASKS, ("oneof where", "oneof place"),
           ("string street", "int32 street"),
           says="ONEOF_REMOVED #/Task/where; ONEOF_ADDED #/Task/place; "
                "FIELD_SCALAR_KIND_CHANGED #/Task/11", passes=False),
    vector("inside of a message", TASKS, ("int64 cents", "string cents"),
           says="FIELD_SCALAR_KIND_CHANGED #/Money/1", passes=False),
    vector("inside of a message inside", TASKS, ("int32 a", "string a"),
           says="FIELD_SCALAR_KIND_CHANGED #/Task/Inner/1", passes=False),
    vector("an extension of another type", OLD, ("int32 weight", "string weight"),
           says="FIELD_SCALAR_KIND_CHANGED #/Task/100", passes=False),
    vector("another extension", OLD, ("int32 weight = 100", "int32 weight = 101"),
           says="FIELD_REMOVED #/Task/100; FIELD_ADDED #/Task/101", passes=True),
    vector("a closed enum that is required loses a value", OLD, ("SOFT = 2;", ""),
           says="FIELD_SCALAR_KIND_CHANGED #/Task/4; ENUM_CONST_REMOVED #/Kind/2", passes=False),
    vector("a set of messages", OLD, ("message Money {", "message Money { extensions 4 to max;"),
           ("optional int64 cents = 1;", "option message_set_wire_format = true;"),
           says="FIELD_KIND_CHANGED #/Money; FIELD_REMOVED #/Money/1", passes=False),
]  # fmt: skip


def found(one: Vector) -> set[str]:
    return {f"{each.kind} {each.path}" for each in protobuf_differences(*one.documents())}


def passes(one: Vector) -> bool:
    return all(each.compatible for each in protobuf_differences(*one.documents()))


@pytest.mark.parametrize("one", VECTORS, ids=lambda one: str(one.name))
def test_vector(one: Vector) -> None:
    """All differences of the change, and whether it passes."""
    assert found(one) == set(one.differences)
    assert passes(one) is one.passes


def test_every_kind_has_a_vector() -> None:
    """No rule stands untried."""
    tried = {difference.split()[0] for one in VECTORS for difference in one.differences}
    assert tried == {kind.value for kind in ProtobufKind}


@pytest.mark.parametrize("kind", list(ProtobufKind))
def test_a_rule_turned_over_is_noticed(kind: ProtobufKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the verdict of one kind turned over at least one vector fails."""
    monkeypatch.setattr(table, "COMPATIBLE", COMPATIBLE ^ {kind})
    suspects = [one for one in VECTORS if any(said.startswith(f"{kind} ") for said in one.differences)]
    assert any(passes(one) is not one.passes for one in suspects)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("int64 cents", "string cents", {"FIELD_SCALAR_KIND_CHANGED #/Money/1"}),
        ("int32 a", "string a", {"FIELD_SCALAR_KIND_CHANGED #/Unit/1"}),
        ("package money", "package cash", set()),
    ],
    ids=["an imported message", "what an imported message holds", "another package"],
)
def test_imported_messages_are_compared(old: str, new: str, says: set[str]) -> None:
    """A message is judged by what it holds, wherever it is declared."""
    before = read_protobuf(IMPORTING, references={"money.proto": MONEY})
    package = "cash" if "cash" in new else "money"
    after = read_protobuf(
        IMPORTING.replace("money.Money", f"{package}.Money"),
        references={"money.proto": MONEY.replace(old, new)},
    )
    assert {f"{one.kind} {one.path}" for one in protobuf_differences(before, after)} == says


F = FieldDescriptorProto
EXAMPLES = 150
SCALARS = {
    F.TYPE_INT32: st.integers(-3, 3),
    F.TYPE_INT64: st.integers(-3, 3),
    F.TYPE_SINT32: st.integers(-3, 3),
    F.TYPE_BOOL: st.booleans(),
    F.TYPE_STRING: st.sampled_from(["", "a", "\u00e9"]),
    F.TYPE_BYTES: st.sampled_from([b"", b"a", b"\xff"]),
    F.TYPE_FIXED32: st.integers(0, 3),
    F.TYPE_DOUBLE: st.sampled_from([0.0, 1.5]),
}


@st.composite
def messages(draw: Any) -> DescriptorProto:
    """A message of up to four fields with numbers below six, some of them in one of two oneofs."""
    message = DescriptorProto(name="M")
    placed: dict[str, list[FieldDescriptorProto]] = {"": [], "x": [], "y": []}
    for number in sorted(draw(st.sets(st.integers(1, 5), max_size=4))):
        label = draw(
            st.sampled_from([F.LABEL_OPTIONAL, F.LABEL_OPTIONAL, F.LABEL_REPEATED, F.LABEL_REQUIRED])
        )
        field = F(name=f"f{number}", number=number, type=draw(st.sampled_from(list(SCALARS))), label=label)
        if label == F.LABEL_REPEATED and field.type not in {F.TYPE_STRING, F.TYPE_BYTES}:
            field.options.packed = draw(st.booleans())
        place = draw(st.sampled_from(list(placed))) if label == F.LABEL_OPTIONAL else ""
        placed[place].append(field)
    for place, fields in placed.items():
        if place and fields:
            message.oneof_decl.add(name=place)
        for field in fields:
            if place:
                field.oneof_index = len(message.oneof_decl) - 1
            message.field.append(field)
    return message


@st.composite
def changed(draw: Any, old: DescriptorProto) -> DescriptorProto:
    """The message with parts of another one: fields gone, new, of other types, in other oneofs."""
    other = draw(messages())
    new = DescriptorProto(name="M")
    taken = {field.number: field for field in other.field if not draw(st.integers(0, 4))}
    kept = [field for field in old.field if field.number not in taken and draw(st.integers(0, 9))]
    moves = draw(st.booleans())
    fields: dict[str, list[FieldDescriptorProto]] = {"": [], "x": [], "y": []}
    for source, chosen in ((old, kept), (other, list(taken.values()))):
        for field in chosen:
            place = source.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
            if moves and field.label == F.LABEL_OPTIONAL:
                place = draw(st.sampled_from(["", "x", "x", "y"]))
            fields[place].append(field)
    for place, members in fields.items():
        if place and members:
            new.oneof_decl.add(name=place)
        for field in members:
            into = new.field.add()
            into.CopyFrom(field)
            into.ClearField("oneof_index")
            if place:
                into.oneof_index = len(new.oneof_decl) - 1
    return new


def document_of(message: DescriptorProto) -> ProtobufDocument:
    files = FileDescriptorSet()
    files.file.add(name="m.proto", message_type=[message])
    return ProtobufDocument("", files.SerializeToString())


def class_of(document: ProtobufDocument) -> type[Message]:
    return GetMessageClass(document.linked().message_types_by_name["M"])


@settings(max_examples=EXAMPLES)
@given(messages(), st.data())
def test_no_record_is_lost_or_refused(old: DescriptorProto, data: Any) -> None:
    """After a compatible change whatever was written is read, and no field that both know goes missing."""
    new = data.draw(changed(old))
    original, update = document_of(old), document_of(new)
    if not all(one.compatible for one in protobuf_differences(original, update)):
        return
    record = class_of(original)()
    for field in old.field:
        values = SCALARS[field.type]
        if field.label == F.LABEL_REPEATED:
            getattr(record, field.name).extend(data.draw(st.lists(values, max_size=2)))
        elif field.label == F.LABEL_REQUIRED or data.draw(st.integers(0, 4)):
            setattr(record, field.name, data.draw(values))
    read = class_of(update)()
    read.ParseFromString(record.SerializeToString())
    assert read.IsInitialized()
    types = {field.number: field.type for field in new.field}
    assert {one.name for one, _value in record.ListFields() if one.number in types} == {
        one.name for one, _value in read.ListFields() if one.number in {field.number for field in old.field}
    }
    same = [one for one, _value in record.ListFields() if types.get(one.number) == one.type]
    for one in same:
        assert last(read, one.name) == last(record, one.name)


def last(record: Message, name: str) -> Any:
    """A repeated field read as a lone one is its last value."""
    value = getattr(record, name)
    return value if isinstance(value, str | bytes | bool | int | float) else list(itertools.chain(value))[-1]
