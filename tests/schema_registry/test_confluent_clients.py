"""Confluent's own Python client and serialisers against the running registry."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import (
    Metadata,
    MetadataProperties,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    ServerConfig,
    topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.common.schema_registry_client import ConfigCompatibilityLevel
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.schema_registry.serde import SchemaId
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.message_factory import GetMessageClass

from schema_registry.domain.protobuf_documents import read_protobuf
from service_kit.identity import Role
from tests.schema_registry.conftest import Web
from tests.support.schemas import SCHEMAS

TOPIC = "tracker.tasks"
TASK_CREATED = (SCHEMAS / "tracker" / "task_created" / "2.json").read_text()
DATA = {
    "taskId": "019a0000-0000-7000-8000-000000000171",
    "userGuid": "019a0000-0000-7000-8000-0000000000a1",
    "title": "Paint the perch",
    "jiraId": None,
    "createdAt": "2026-03-02T09:15:00Z",
}


@pytest.fixture
def reader(address: str) -> Iterator[SchemaRegistryClient]:
    """A client without credentials."""
    with SchemaRegistryClient({"url": address}) as client:
        yield client


@pytest.fixture
def writer(address: str, web: Web) -> Iterator[SchemaRegistryClient]:
    """A client with an administrator's token."""
    options = {
        "url": address,
        "bearer.auth.credentials.source": "STATIC_TOKEN",
        "bearer.auth.token": web.token(Role.ADMIN),
        "bearer.auth.logical.cluster": "none",
        "bearer.auth.identity.pool.id": "none",
    }
    with SchemaRegistryClient(options) as client:
        yield client


async def off_the_loop(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The client blocks; the registry it asks runs in this test's loop."""
    return await asyncio.to_thread(function, *arguments, **options)


def context() -> SerializationContext:
    return SerializationContext(TOPIC, MessageField.VALUE, [])


class TestSerialisers:
    async def test_records_written_and_read(self, reader: SchemaRegistryClient) -> None:
        """A record framed by the serialiser is read by the deserialiser, without any right to write."""
        serialise = JSONSerializer(
            TASK_CREATED, reader, conf={"subject.name.strategy": topic_record_subject_name_strategy}
        )
        deserialise = JSONDeserializer(None, schema_registry_client=reader)
        framed = await off_the_loop(serialise, DATA, context())
        assert framed[0] == 0
        assert json.loads(framed[5:]) == DATA
        assert await off_the_loop(deserialise, framed, context()) == DATA

    @pytest.mark.parametrize("option", ["use.latest.version", "auto.register.schemas"])
    async def test_without_registering(self, reader: SchemaRegistryClient, option: str) -> None:
        """The latest version and the plain look-up work as well as registering."""
        chosen = {"auto.register.schemas": False, "use.latest.version": option == "use.latest.version"}
        serialise = JSONSerializer(
            TASK_CREATED,
            reader,
            conf={"subject.name.strategy": topic_record_subject_name_strategy, **chosen},
        )
        framed = await off_the_loop(serialise, DATA, context())
        found = await off_the_loop(reader.get_latest_version, f"{TOPIC}-TaskCreated")
        assert int.from_bytes(framed[1:5], "big") == found.schema_id

    async def test_schema_named_in_a_header(self, reader: SchemaRegistryClient) -> None:
        """With the GUID in a header the payload stays plain JSON."""
        found = await off_the_loop(reader.get_latest_version, f"{TOPIC}-TaskCreated")
        deserialise = JSONDeserializer(None, schema_registry_client=reader)
        header = SchemaId("JSON", guid=found.guid).guid_to_bytes()
        named = SerializationContext(TOPIC, MessageField.VALUE, [("__value_schema_id", header)])
        assert await off_the_loop(deserialise, json.dumps(DATA).encode(), named) == DATA

    async def test_an_invalid_record_is_refused(self, reader: SchemaRegistryClient) -> None:
        """What breaks the contract does not leave the producer."""
        serialise = JSONSerializer(
            TASK_CREATED, reader, conf={"subject.name.strategy": topic_record_subject_name_strategy}
        )
        with pytest.raises(Exception, match="does not match"):
            await off_the_loop(serialise, DATA | {"title": "[POPUG-1] - Paint"}, context())


MONEY = 'syntax = "proto3"; package money; message Money { int64 cents = 1; }'
PAYMENT = """
syntax = "proto3";
package payments;
import "google/protobuf/timestamp.proto";
import "confluent/meta.proto";
import "money/money.proto";
message Payment {
  message Part { string of = 1; money.Money sum = 2; }
  map<string, Part> parts = 1;
  google.protobuf.Timestamp at = 2;
  message Note { string words = 1 [(confluent.field_meta).tags = "PII"]; }
  repeated Note notes = 3;
}
"""


class TestProtobuf:
    @pytest.mark.parametrize("message", ["Payment", "Part", "Note"])
    async def test_records_written_and_read(
        self, writer: SchemaRegistryClient, reader: SchemaRegistryClient, message: str
    ) -> None:
        """Imports are registered on the way; each message is known by its place, also beside maps."""
        file = read_protobuf(PAYMENT, references={"money/money.proto": MONEY}).linked()
        outer = file.message_types_by_name["Payment"]
        kind = GetMessageClass(outer if message == "Payment" else outer.nested_types_by_name[message])
        values: dict[str, Any] = {
            "Payment": {"parts": {"a": {"of": "work", "sum": {"cents": 5}}}, "notes": [{"words": "w"}]},
            "Part": {"of": "work", "sum": {"cents": 7}},
            "Note": {"words": "fine"},
        }
        record = kind(**values[message])
        serialise = ProtobufSerializer(kind, writer)
        deserialise = ProtobufDeserializer(kind, schema_registry_client=reader)
        framed = await off_the_loop(serialise, record, context())
        assert await off_the_loop(deserialise, framed, context()) == record
        found = await off_the_loop(writer.get_latest_version, f"{TOPIC}-value")
        assert (found.schema.schema_type, int.from_bytes(framed[1:5], "big")) == ("PROTOBUF", found.schema_id)
        assert [one.name for one in found.schema.references or []] == ["money/money.proto"]
        assert "message Note" in found.schema.schema_str

    async def test_an_incompatible_class_is_refused(self, writer: SchemaRegistryClient) -> None:
        """A producer with a class that readers could not follow does not get as far as the topic."""
        kinds = [
            GetMessageClass(read_protobuf(text).linked().message_types_by_name["Money"])
            for text in (MONEY, MONEY.replace("int64", "string"))
        ]
        await off_the_loop(ProtobufSerializer(kinds[0], writer), kinds[0](cents=1), context())
        with pytest.raises(SchemaRegistryError) as refused:
            await off_the_loop(ProtobufSerializer(kinds[1], writer), kinds[1](cents="1"), context())
        assert refused.value.error_code == 40901
        assert "FIELD_SCALAR_KIND_CHANGED" in str(refused.value)


class TestClient:
    async def test_life_of_a_subject(self, writer: SchemaRegistryClient) -> None:
        """Registering, asking, configuring and deleting, each as the client does it."""
        schema = Schema('{"type": "object", "properties": {"a": {"type": "string"}}}', "JSON")
        first = await off_the_loop(writer.register_schema_full_response, "life", schema)
        assert (await off_the_loop(writer.lookup_schema, "life", schema)).schema_id == first.schema_id
        assert (await off_the_loop(writer.get_schema, first.schema_id)).schema_type == "JSON"
        assert (await off_the_loop(writer.get_version, "life", 1)).schema_id == first.schema_id
        assert await off_the_loop(writer.get_versions, "life") == [1]
        assert "life" in await off_the_loop(writer.get_subjects)
        assert await off_the_loop(writer.get_schema_types) == ["JSON", "PROTOBUF", "AVRO"]
        assert await off_the_loop(writer.get_contexts) == ["."]
        other = Schema('{"type": "array"}', "JSON")
        assert await off_the_loop(writer.test_compatibility, "life", other) is False
        with pytest.raises(SchemaRegistryError) as refused:
            await off_the_loop(writer.register_schema, "life", other)
        assert (refused.value.http_status_code, refused.value.error_code) == (409, 40901)
        await off_the_loop(writer.set_config, "life", ServerConfig(ConfigCompatibilityLevel.NONE))
        assert (await off_the_loop(writer.get_config, "life")).compatibility_level == "NONE"
        assert await off_the_loop(writer.test_compatibility, "life", other) is True
        await off_the_loop(writer.delete_config, "life")
        assert await off_the_loop(writer.get_global_mode) == "READWRITE"
        assert await off_the_loop(writer.delete_subject, "life") == [1]

    async def test_references_and_metadata(self, writer: SchemaRegistryClient) -> None:
        """Both come back as they were sent."""
        await off_the_loop(writer.register_schema, "cents", Schema('{"type": "integer"}', "JSON"))
        using = Schema(
            '{"$ref": "cents.json"}',
            "JSON",
            references=[SchemaReference("cents.json", "cents", 1)],
            metadata=Metadata(None, MetadataProperties({"owner": "money"}), None),
        )
        schema_id = await off_the_loop(writer.register_schema, "price", using)
        found = await off_the_loop(writer.get_latest_with_metadata, "price", {"owner": "money"})
        assert found.schema_id == schema_id
        assert found.schema.references == using.references
        assert await off_the_loop(writer.get_referenced_by, "cents", 1) == [schema_id]


JAVASCRIPT = """
const { SchemaRegistry, SchemaType } = require(process.argv[2] + "/@kafkajs/confluent-schema-registry");
const [, , , host, token, subject, schema, data] = process.argv;
(async () => {
  const registry = new SchemaRegistry({ host, middlewares: [() => ({ prepareRequest: async (next) => {
    const request = await next();
    return request.enhance({ headers: { Authorization: "Bearer " + token } });
  } })] }, { [SchemaType.JSON]: { strict: false } });
  const { id } = await registry.register({ type: SchemaType.JSON, schema }, { subject });
  const known = await registry.getRegistryId(subject, 1);
  const latest = await registry.getLatestSchemaId(subject);
  const framed = await registry.encode(id, JSON.parse(data));
  const decoded = await registry.decode(framed);
  console.log(JSON.stringify({ id, known, latest, magic: framed[0], decoded }));
})().catch((error) => { console.error(error); process.exit(1); });
"""


async def test_the_client_of_kafkajs(address: str, web: Web, tmp_path: Path, node_modules: Path) -> None:
    """It registers, asks for ids, encodes and decodes."""
    program = tmp_path / "client.js"
    program.write_text(JAVASCRIPT)
    schema = json.dumps({"type": "object", "properties": {"a": {"type": "string"}}})
    words = [str(node_modules), address, web.token(Role.ADMIN), "js-value", schema, '{"a": "b"}']
    said = await asyncio.to_thread(
        subprocess.run, ["node", str(program), *words], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["id"] == found["known"] == found["latest"]
    assert (found["magic"], found["decoded"]) == (0, {"a": "b"})
