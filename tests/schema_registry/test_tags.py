"""Tags inside of schemas: found, set and taken away, and kept from version to version."""

import json
from typing import Any

import pytest

from schema_registry.domain.errors import RegistryError
from schema_registry.domain.tags import (
    PARTS_MAX,
    PartKind,
    Retagging,
    Tagged,
    avro_tags,
    json_tags,
    retag_json,
)
from tests.schema_registry.conftest import Asked, an_object, sent

TEXT = {"type": "string"}
PERSONAL = {"type": "string", "confluent:tags": ["PII"]}
AVRO = (
    '{"type":"record","name":"Account","namespace":"ates","fields":['
    '{"name":"mail","type":"string","confluent:tags":["PII"]},'
    '{"name":"home","type":["null",{"type":"record","name":"Place","confluent:tags":["place"],"fields":['
    '{"name":"street","type":"string","confluent:tags":["PII","home"]}]}]}]}'
)
PROTO = """syntax = "proto3";
package ates;
import "confluent/meta.proto";
message Account {
  option (confluent.message_meta) = { tags: "person" };
  string mail = 1 [(confluent.field_meta) = { tags: ["PII"] }];
  message Place { string street = 1 [(confluent.field_meta) = { tags: ["PII", "home"] }]; }
  Place home = 2;
}
"""


def entity(path: str, *tags: str, kind: str = "sr_field") -> dict[str, Any]:
    return {"schemaEntity": {"entityPath": path, "entityType": kind}, "tags": list(tags)}


def found(tagged: list[Tagged]) -> list[str]:
    return [one.path for one in tagged]


class TestPartsOfJsonSchema:
    @pytest.mark.parametrize(
        ("schema", "path"),
        [
            pytest.param(an_object(mail=PERSONAL), "object.mail", id="field"),
            pytest.param(an_object(a=an_object(b=PERSONAL)), "object.a.object.b", id="field_of_a_field"),
            pytest.param(
                an_object(a={"type": "array", "items": an_object(b=PERSONAL)}),
                "object.a.array.object.b",
                id="items",
            ),
            pytest.param(
                an_object(a={"prefixItems": [TEXT, an_object(b=PERSONAL)]}),
                "object.a.array.1.object.b",
                id="items_by_place",
            ),
            pytest.param(an_object(a={"not": an_object(b=PERSONAL)}), "object.a.not.object.b", id="not"),
            pytest.param(
                an_object(a={"allOf": [an_object(b=PERSONAL)]}), "object.a.allof.0.object.b", id="alternative"
            ),
            pytest.param(
                {"$ref": "#/$defs/x", "$defs": {"x": an_object(b=PERSONAL)}}, "object.b", id="reference"
            ),
            pytest.param(
                {"if": TEXT, "then": an_object(b=PERSONAL)}, "conditional.then.object.b", id="condition"
            ),
        ],
    )
    def test_way_to_a_part(self, schema: dict[str, Any], path: str) -> None:
        """A part is named by the way that leads to it."""
        assert found(json_tags(schema)) == [path]

    def test_record(self) -> None:
        """An object may carry tags itself."""
        schema = {**an_object(a=TEXT), "confluent:tags": ["root"]}
        assert json_tags(schema) == [Tagged("object", PartKind.RECORD, ("root",))]

    def test_a_schema_that_holds_itself(self) -> None:
        """Each way is followed until it comes back."""
        schema = an_object(child={"$ref": "#"}, mail=PERSONAL)
        assert found(json_tags(schema)) == ["object.mail", "object.child.object.mail"]

    def test_a_reference_into_an_example(self) -> None:
        """What is no schema has no parts."""
        example = {"type": "object", "properties": ["a"]}
        schema = {"properties": {"a": {"$ref": "#/examples/0"}, "b": PERSONAL}, "examples": [example]}
        assert found(json_tags(schema)) == ["object.b"]

    def test_deep_inside(self) -> None:
        """Ways are followed as far as a client can name them."""
        name, schema = "n" * 500, PERSONAL
        for _level in range(10):
            schema = an_object(**{name: schema}, mail=PERSONAL)
        assert 1 < len(json_tags(schema)) < 10

    def test_more_parts_than_anybody_reads(self) -> None:
        """Definitions that double at each step are refused instead of being written out."""
        steps = 40
        definitions = {
            f"d{step}": an_object(a={"$ref": f"#/$defs/d{step + 1}"}, b={"$ref": f"#/$defs/d{step + 1}"})
            for step in range(steps)
        }
        assert 2**steps > PARTS_MAX
        with pytest.raises(RegistryError, match="too many parts"):
            json_tags({"$ref": "#/$defs/d0", "$defs": definitions})

    def test_a_part_that_is_not_there(self) -> None:
        """It is refused by name, and nothing is changed."""
        schema = an_object(a=TEXT)
        wanted = Retagging(
            add=(Tagged("object.a", PartKind.FIELD, ("x",)), Tagged("object.b", PartKind.FIELD, ("x",)))
        )
        with pytest.raises(RegistryError, match=r"no field 'object\.b'"):
            retag_json(schema, wanted)
        assert schema == an_object(a=TEXT)


class TestPartsOfAvro:
    def test_whole_names(self) -> None:
        """Records by their whole names, namespaces of outer ones included."""
        assert found(avro_tags(json.loads(AVRO))) == ["ates.Account.mail", "ates.Place", "ates.Place.street"]


class TestFinding:
    async def test_by_id_and_by_version(self, asked: Asked) -> None:
        """`findTags` names the tags that are looked for, `*` any; without it nothing is told."""
        schema = an_object(mail=PERSONAL, phone={**TEXT, "confluent:tags": ["PII", "phone"]}, a=TEXT)
        registered = await asked.post("/subjects/t/versions", sent(schema))
        for path in (f"/schemas/ids/{registered['id']}", "/subjects/t/versions/1"):
            both = [entity("object.mail", "PII"), entity("object.phone", "PII", "phone")]
            assert (await asked.get(f"{path}?findTags=*"))["schemaTags"] == both
            assert (await asked.get(f"{path}?findTags=phone&findTags=x"))["schemaTags"] == both[1:]
            assert "schemaTags" not in await asked.get(f"{path}?findTags=none")
            assert "schemaTags" not in await asked.get(path)

    async def test_of_every_type(self, asked: Asked) -> None:
        """AVRO and PROTOBUF tell theirs, too."""
        await asked.post("/subjects/a/versions", {"schema": AVRO})
        answer = await asked.get("/subjects/a/versions/1?findTags=home")
        assert answer["schemaTags"] == [entity("ates.Place.street", "PII", "home")]
        await asked.post("/subjects/p/versions", {"schema": PROTO, "schemaType": "PROTOBUF"})
        answer = await asked.get("/subjects/p/versions/1?findTags=*")
        assert answer["schemaTags"] == [
            entity("Account", "person", kind="sr_record"),
            entity("Account.mail", "PII"),
            entity("Account.Place.street", "PII", "home"),
        ]


class TestChanging:
    async def test_the_next_version_has_them(self, asked: Asked) -> None:
        """Tags are added and taken away in a version of their own; metadata says its number."""
        await asked.post("/subjects/t/versions", sent(an_object(mail=PERSONAL, a=TEXT)))
        change = {
            "tagsToAdd": [entity("object.a", "x"), entity("object", "root", kind="sr_record")],
            "tagsToRemove": [entity("object.mail", "PII")],
        }
        tagged = await asked.post("/subjects/t/versions/latest/tags", change)
        assert tagged["version"] == 2
        assert tagged["metadata"] == {"properties": {"confluent:version": "2"}}
        answer = await asked.get("/subjects/t/versions/2?findTags=*")
        assert answer["schemaTags"] == [entity("object", "root", kind="sr_record"), entity("object.a", "x")]

    async def test_avro(self, asked: Asked) -> None:
        """The same for AVRO; a dot before the name of a part means nothing."""
        await asked.post("/subjects/t/versions", {"schema": AVRO})
        await asked.post(
            "/subjects/t/versions/1/tags", {"tagsToAdd": [entity(".ates.Account.home", "where")]}
        )
        answer = await asked.get("/subjects/t/versions/2?findTags=where")
        assert answer["schemaTags"] == [entity("ates.Account.home", "where")]

    async def test_rules(self, asked: Asked) -> None:
        """Rules of the version before are merged with others and taken out by their names."""
        rules = {"domainRules": [{"name": "a", "type": "CEL"}, {"name": "b", "type": "CEL"}]}
        await asked.post("/subjects/t/versions", sent(an_object(a=TEXT), ruleSet=rules))
        change = {
            "rulesToMerge": {"domainRules": [{"name": "c", "type": "ENCRYPT"}]},
            "rulesToRemove": ["a"],
        }
        tagged = await asked.post("/subjects/t/versions/1/tags", change)
        assert [rule["name"] for rule in tagged["ruleSet"]["domainRules"]] == ["b", "c"]
        both = {**change, "ruleSet": rules}
        assert await asked.refused("POST", "/subjects/t/versions/1/tags", both) == (422, 42210)
        encrypted = await asked.get("/schemas?ruleType=ENCRYPT")
        assert [(one["subject"], one["version"]) for one in encrypted] == [("t", 2)]

    @pytest.mark.parametrize(
        ("path", "change", "status"),
        [
            pytest.param("t/versions/1", {"tagsToAdd": [entity("object.z", "x")]}, (422, 42201), id="part"),
            pytest.param("t/versions/1", {"newVersion": 7}, (422, 42201), id="number"),
            pytest.param("t/versions/9", {}, (404, 40402), id="version"),
            pytest.param("none/versions/1", {}, (404, 40401), id="subject"),
            pytest.param("t/versions/1", {"tagsToAdd": [{"tags": ["x"]}]}, (422, 42201), id="no_part"),
            pytest.param("t/versions/1", {"tagsToAdd": [entity("a", "x", kind="z")]}, (400, 400), id="kind"),
            pytest.param("p/versions/1", {"tagsToAdd": [entity("A", "x")]}, (422, 42201), id="protobuf"),
        ],
    )
    async def test_refusals(
        self, asked: Asked, path: str, change: dict[str, Any], status: tuple[int, int]
    ) -> None:
        """What is not there, is out of turn or cannot be done is refused with a code."""
        await asked.post("/subjects/t/versions", sent(an_object(a=TEXT)))
        if path.startswith("p"):
            schema = {"schema": 'syntax = "proto3";\nmessage A {}\n', "schemaType": "PROTOBUF"}
            await asked.post("/subjects/p/versions", schema)
        assert await asked.refused("POST", f"/subjects/{path}/tags", change) == status


class TestRegistering:
    async def test_with_other_tags(self, asked: Asked) -> None:
        """A schema can be registered with tags beside it; asked again, it is the same version."""
        body = sent(an_object(a=TEXT), schemaTagsToAdd=[entity("object.a", "x")])
        registered = await asked.post("/subjects/t/versions", body)
        answer = await asked.get("/subjects/t/versions/1?findTags=*")
        assert answer["schemaTags"] == [entity("object.a", "x")]
        assert (await asked.post("/subjects/t/versions", body))["id"] == registered["id"]

    async def test_tags_go_on(self, asked: Asked) -> None:
        """Where it is asked for, parts keep the tags of the version before; gone parts are no hindrance."""
        await asked.put("/config/t", {"compatibility": "NONE"})
        await asked.post("/subjects/t/versions", sent(an_object(a=PERSONAL, b=PERSONAL)))
        body = sent(an_object(a=TEXT, c=TEXT), propagateSchemaTags=True)
        assert (await asked.post("/subjects/t/versions", body))["version"] == 2
        answer = await asked.get("/subjects/t/versions/2?findTags=*")
        assert answer["schemaTags"] == [entity("object.a", "PII")]
