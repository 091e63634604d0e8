"""Protobuf schemas by the protocol."""

import base64
from tempfile import gettempdir
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from schema_registry.domain.errors import RegistryError
from schema_registry.domain.protobuf_documents import read_protobuf
from tests.schema_registry.conftest import Asked

TASK = 'syntax = "proto3"; package tasks; message Task { string id = 1; }'
PRICED = 'syntax = "proto3"; package tasks; message Task { string id = 1; int32 price = 2; }'
MONEY = 'syntax = "proto3"; package money; message Money { int64 cents = 1; }'
PAID = 'syntax = "proto3"; package tasks; import "money/money.proto"; message Paid { money.Money sum = 1; }'
RESERVED = 'syntax = "proto3"; enum E { A = 0; reserved ' + ", ".join(map(str, range(2, 100_000, 2))) + "; }"
"""The compiler compares each of these numbers with every other."""

TASK_FORM = """syntax = "proto3";
package tasks;

message Task {
  string id = 1;
}
"""
EVERYTHING = """
package all;
import "google/protobuf/descriptor.proto";
import "google/protobuf/timestamp.proto";
import "google/type/money.proto";
import "confluent/meta.proto";
import "confluent/type/decimal.proto";
option java_package = "a\\n\\"b\\"";
option (own).a = 3;
option (raw) = "\\000\\377";
message Own { optional int32 a = 1; repeated string b = 2; extensions 5 to max; }
extend google.protobuf.FileOptions { optional Own own = 50001; optional bytes raw = 50002; }
extend Own {
  optional string ext = 100 [default = "a\\"b"];
  repeated group Part = 102 { optional int32 q = 1; }
}
message Most {
  option (confluent.message_meta) = { doc: "words" tags: "PII" params: { key: "a" value: "b" } };
  option deprecated = true;
  reserved 200 to 299, 5, 1000 to max;
  reserved "foo", "bar";
  required string text = 1 [(confluent.field_meta).tags = "PII", default = "x'y", json_name = "TEXT"];
  optional bytes data = 2 [default = "\\000\\377a\\""];
  optional Kind kind = 3 [default = SOFT];
  optional float weight = 4 [default = inf];
  repeated int32 marks = 6 [packed = true, deprecated = true];
  optional group Result = 7 { required string address = 1; }
  map<int32, Most> mosts = 11 [deprecated = true];
  oneof choice { string word = 8; group Two = 9 { optional int32 z = 1; } Kind other = 10; }
  optional confluent.type.Decimal sum = 12;
  optional google.type.Money money = 13;
  optional google.protobuf.Timestamp at = 14;
  extend Own { optional Most inside = 101; }
  extensions 300 to 399;
  message Inner {
    enum Twice { option allow_alias = true; A = 0; B = 0; reserved 5 to max; reserved "gone"; }
  }
}
enum Kind { HARD = 1 [(confluent.enum_value_meta).doc = "stone"]; SOFT = -2; }
service Service {
  option deprecated = true;
  rpc Do (stream Most) returns (Own) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc Undo (Own) returns (stream Most);
}
"""
OPTIONAL = (
    'syntax = "proto3"; message A { optional int32 a = 1; oneof o { string b = 2; } repeated A c = 3; }'
)
INDEXES = """
message Outer {
  message First {}
  map<string, int32> counts = 1;
  oneof o { group Second = 2 {} string s = 3; }
  message Third {}
  map<string, First> others = 4;
  message Fourth {}
  optional int32 last = 5;
  extensions 100 to 199;
}
message Before {}
extend Outer { optional group Between = 100 {} }
message After {}
"""
EDITION = """
edition = "2023";
package newer;
option features.field_presence = IMPLICIT;
message A {
  reserved foo;
  string a = 1 [features.field_presence = LEGACY_REQUIRED];
  A b = 2 [features.message_encoding = DELIMITED];
  Kind c = 3 [features.field_presence = EXPLICIT];
}
enum Kind { option features.enum_type = CLOSED; X = 1; }
"""

FORMS = {"task": TASK, "proto 2": EVERYTHING, "proto 3": OPTIONAL, "edition": EDITION, "indexes": INDEXES}


def proto(text: str, **more: Any) -> dict[str, Any]:
    return {"schema": text, "schemaType": "PROTOBUF", **more}


class TestOneForm:
    @pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
    def test_one_schema_has_one_form(self, text: str) -> None:
        """Text, its form, and its descriptor end as the same words, with nothing lost."""
        document = read_protobuf(text)
        assert read_protobuf(document.text).text == document.text
        assert read_protobuf(document.serialized()).text == document.text
        assert sorted_parts(read_protobuf(document.text).serialized()) == sorted_parts(document.serialized())

    @pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
    def test_what_has_no_order_is_put_in_order(self, text: str) -> None:
        """Normalised, a schema stays what it was, and normalising again changes nothing."""
        document = read_protobuf(text, normalize=True)
        assert read_protobuf(document.text, normalize=True).text == document.text
        assert sorted_parts(read_protobuf(document.text).serialized()) == sorted_parts(document.serialized())

    def test_order_counts_unless_normalised(self) -> None:
        """Fields in another order are the same schema to records, and another one to the registry."""
        turned = 'syntax = "proto3"; package tasks; message Task { int32 price = 2; string id = 1; }'
        assert read_protobuf(turned).text != read_protobuf(PRICED).text
        assert read_protobuf(turned, normalize=True).text == read_protobuf(PRICED, normalize=True).text

    def test_the_first_value_stays_the_first(self) -> None:
        """It is what a reader takes where nothing was sent, so that no order may move it."""
        text = 'syntax = "proto3"; enum Kind { ZERO = 0; SECOND = 2; MINUS = -1; }'
        values = FileDescriptorProto.FromString(
            base64.b64decode(read_protobuf(text, normalize=True).serialized())
        )
        assert [value.number for value in values.enum_type[0].value] == [0, 2, -1]
        form = read_protobuf(text, normalize=True).text
        assert form.index("ZERO") < form.index("MINUS") < form.index("SECOND")

    def test_without_extensions(self) -> None:
        """What only stands for readers with extensions is left out; the rest compiles."""
        left = read_protobuf(EVERYTHING).without_extensions()
        assert "extend " not in left
        assert "confluent.field_meta" not in left
        assert "allow_alias" in read_protobuf(left).text

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "it is empty"),
            ("message", "neither a .proto file nor a descriptor"),
            ("Cg5ub3RoaW5n", "neither a .proto file nor a descriptor"),
            ('syntax = "proto3"; message A { B b = 1; }', 'line 1, column 32: "B" is not defined.'),
            ("message A { optional int32 a = 1; optional int32 b = 1; }", "already been used"),
            ('import "other.proto";', "other.proto: File not found."),
            ('import "/etc/passwd";', "/etc/passwd"),
            ('import "../../secret.proto";', "secret.proto"),
            ('syntax = "proto3"; import "google/api/http.proto";', "File not found"),
            ('edition = "2024"; message A {}', "editions after 2023"),
            ("\ud800", "characters that are none"),
            ('{"type": "string"}', "Expected top-level statement"),
            ("message A {" * 5000 + "}" * 5000, "Reached maximum recursion limit"),
            pytest.param("; " * 200_001, "longer than", id="longer"),
            pytest.param(RESERVED, "takes too long", id="costly"),
        ],
    )
    def test_what_is_no_schema(self, text: str, words: str) -> None:
        """Refused in words that say where, without a path of the machine."""
        with pytest.raises(RegistryError) as refused:
            read_protobuf(text)
        assert words in refused.value.message
        assert gettempdir() not in refused.value.message

    @pytest.mark.parametrize("name", ["../x.proto", "/x.proto", "a//b", ".x", "a b", "", "x" * 300, "a/../b"])
    def test_names_of_references_are_paths_below(self, name: str) -> None:
        """Nothing is written or read outside of the folder of one compilation."""
        with pytest.raises(RegistryError, match="is not a path of an import"):
            read_protobuf(TASK, references={name: MONEY})


def sorted_parts(serialized: str) -> FileDescriptorProto:
    """A descriptor with what has no meaning in its order in one order."""
    found = FileDescriptorProto.FromString(base64.b64decode(serialized))
    messages = list(found.message_type)
    for message in messages:
        messages += message.nested_type
        names = [oneof.name for oneof in message.oneof_decl]
        for field in message.field:
            if field.HasField("oneof_index"):
                field.json_name += f" in {names[field.oneof_index]}"
                field.ClearField("oneof_index")
        message.field.sort(key=lambda field: field.number)
        message.oneof_decl.sort(key=lambda oneof: oneof.name)
        message.reserved_range.sort(key=lambda one: one.start)
        message.reserved_name.sort()
        # Compilers make messages for maps; only their number counts, and where they stand among others.
        maps = iter(sorted(one.name for one in message.nested_type if one.options.map_entry))
        for one in message.nested_type:
            if one.options.map_entry:
                one.CopyFrom(type(one)(name=next(maps)))
    for enum in found.enum_type:
        enum.value.sort(key=lambda value: value.number)
    found.dependency.sort()
    found.extension.sort(key=lambda one: (one.extendee, one.number))
    return found


async def test_registered_and_found_again(asked: Asked) -> None:
    """Words, white space and comments make no difference, nor does the descriptor instead of the text."""
    first = await asked.post("/subjects/t/versions", proto(TASK))
    assert (first["version"], first["schemaType"], first["schema"]) == (1, "PROTOBUF", TASK_FORM)
    for text in (TASK_FORM, f"// said anew\n{TASK}", read_protobuf(TASK).serialized()):
        assert (await asked.post("/subjects/t/versions", proto(text)))["id"] == first["id"]
        assert (await asked.post("/subjects/t", proto(text)))["version"] == 1
    assert (await asked.get(f"/schemas/ids/{first['id']}"))["schema"] == TASK_FORM
    assert await asked.get("/schemas/types") == ["JSON", "PROTOBUF", "AVRO"]
    assert await asked.refused("POST", "/subjects/t", proto(PRICED)) == (404, 40403)
    assert await asked.refused("POST", "/subjects/t", proto("nothing")) == (404, 40403)


async def test_forms_that_clients_ask_for(asked: Asked) -> None:
    """The descriptor in base64, and the text without extensions, on every route that answers a schema."""
    first = await asked.post("/subjects/t/versions", proto(EVERYTHING), params={"format": "serialized"})
    places = [f"/schemas/ids/{first['id']}", f"/schemas/guids/{first['guid']}", "/subjects/t/versions/latest"]
    answers = [(await asked.get(path, params={"format": "serialized"}))["schema"] for path in places]
    answers.append(
        (await asked.post("/subjects/t", proto(EVERYTHING), params={"format": "serialized"}))["schema"]
    )
    answers.append((await asked.client.get(f"{places[0]}/schema", params={"format": "serialized"})).text)
    assert set(answers) == {first["schema"]}
    assert FileDescriptorProto.FromString(base64.b64decode(first["schema"])).package == "all"
    bare = await asked.get(places[0], params={"format": "ignore_extensions"})
    assert "extend " not in bare["schema"]
    assert (await asked.get(places[0], params={"format": "unheard of"}))["schema"] == (
        await asked.get(places[0])
    )["schema"]


@pytest.mark.parametrize(
    ("level", "old", "new", "fine"),
    [
        ("BACKWARD", TASK, PRICED, True),
        ("FULL_TRANSITIVE", TASK, PRICED, True),
        ("BACKWARD", TASK, TASK.replace("string", "int32"), False),
        ("BACKWARD", TASK, TASK.replace("string", "bytes"), True),
        ("FORWARD", TASK, TASK.replace("string", "bytes"), False),
        ("FORWARD", TASK, TASK.replace("}", "} message More {}"), False),
        ("NONE", TASK, MONEY, True),
    ],
)
async def test_compatibility(asked: Asked, level: str, old: str, new: str, *, fine: bool) -> None:
    """Judged in the direction of the level, and said in Confluent's words when it is refused."""
    await asked.put("/config/t", {"compatibility": level})
    await asked.post("/subjects/t/versions", proto(old))
    verdict = await asked.post(
        "/compatibility/subjects/t/versions/latest", proto(new), params={"verbose": "true"}
    )
    assert verdict["is_compatible"] is fine
    assert bool(verdict["messages"]) is not fine
    answer = await asked.client.post("/subjects/t/versions", json=proto(new))
    assert answer.status_code == (200 if fine else 409)


async def test_references(asked: Asked) -> None:
    """An import is another subject's version; without it, or with a circle of names, it is refused."""
    assert await asked.refused("POST", "/subjects/p/versions", proto(PAID)) == (422, 42201)
    await asked.post("/subjects/money/versions", proto(MONEY))
    references = [{"name": "money/money.proto", "subject": "money", "version": 1}]
    first = await asked.post("/subjects/p/versions", proto(PAID, references=references))
    assert (await asked.get(f"/schemas/ids/{first['id']}"))["references"] == references
    assert await asked.get("/subjects/money/versions/1/referencedby") == [first["id"]]
    serialized = (await asked.get("/subjects/p/versions/1", params={"format": "serialized"}))["schema"]
    assert (await asked.post("/subjects/p", proto(serialized, references=references)))["version"] == 1
    await asked.post("/subjects/money/versions", proto(MONEY.replace("}", "string note = 2; }")))
    newer = [references[0] | {"version": 2}]
    assert (await asked.post("/subjects/p/versions", proto(PAID, references=newer)))["version"] == 2
    outside = [references[0] | {"name": "../money.proto"}]
    assert await asked.refused("POST", "/subjects/p/versions", proto(PAID, references=outside)) == (
        422,
        42201,
    )


async def test_another_type_is_never_compatible(asked: Asked) -> None:
    """A subject keeps its type."""
    await asked.post("/subjects/t/versions", proto(TASK))
    body = {"schema": '{"type": "string"}', "schemaType": "JSON"}
    assert await asked.refused("POST", "/subjects/t/versions", body) == (409, 40901)


async def test_words_of_another_registry(asked: Asked) -> None:
    """What was brought along from elsewhere keeps its words and is known by what they mean."""
    await asked.put("/mode/t", {"mode": "IMPORT"})
    brought = await asked.post("/subjects/t/versions", proto(TASK, id=7000, version=1))
    assert brought["id"] == 7000
    await asked.put("/mode/t", {"mode": "READWRITE"})
    assert (await asked.post("/subjects/t/versions", proto(f"{TASK}\n\n")))["id"] == 7000
