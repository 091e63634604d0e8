"""A program that reads one event, ready to copy: Python, Java, JavaScript."""

from dataclasses import dataclass
from string import Template

from schema_registry.domain.contracts import Contract, ContractVersion
from service_kit.text import message as _


@dataclass(frozen=True, slots=True)
class Code:
    language: str
    needs: str
    """What to install before."""
    text: str


def consuming_code(
    contract: Contract, version: ContractVersion, *, kafka_servers: str, registry_url: str, framed: bool
) -> list[Code]:
    """One program for each language; `framed` tells whether a schema id stands before the data.

    Each has a group of its own, so that whoever tries one after the other is shown the records by each.
    """
    words = {
        "servers": kafka_servers,
        "registry": registry_url,
        "topic": contract.topic,
        "event": contract.name,
        "type": contract.type_name(version.number),
        "key": contract.key,
        "python_data": "message.value()[5:]" if framed else "message.value()",
        "java_skip": "5" if framed else "0",
        "js_data": "message.value.subarray(5)" if framed else "message.value",
        "python_why": "  # a zero byte and the schema's id stand before the data" if framed else "",
        "other_why": "  // a zero byte and the schema's id stand before the data" if framed else "",
    }
    return [
        Code(language, needs.substitute(words), text.substitute(words)) for language, needs, text in _PROGRAMS
    ]


_PYTHON = Template("""import json

from confluent_kafka import Consumer

consumer = Consumer(
    {
        "bootstrap.servers": "$servers",
        "group.id": "my-service",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
)
consumer.subscribe(["$topic"])
try:
    while True:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            raise SystemExit(message.error())
        headers = {name: value.decode() for name, value in message.headers() or []}
        if headers.get("ce_type") == "$type":
            data = json.loads($python_data)$python_why
            # Act once for each ce_id: the same event may come again.
            print(headers["ce_id"], data["$key"], data)
        consumer.commit(message)
finally:
    consumer.close()
""")

_PYTHON_REGISTRY = Template("""from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

registry = SchemaRegistryClient({"url": "$registry"})
checked = JSONDeserializer(None, schema_registry_client=registry)
consumer = Consumer(
    {
        "bootstrap.servers": "$servers",
        "group.id": "my-service-checked",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
)
consumer.subscribe(["$topic"])
try:
    while True:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            raise SystemExit(message.error())
        headers = {name: value.decode() for name, value in message.headers() or []}
        if headers.get("ce_type") == "$type":
            context = SerializationContext("$topic", MessageField.VALUE, message.headers())
            try:
                # Fetches the schema by the id in the record, once, and checks the data against it.
                data = checked(message.value(), context)
            except SerializationError as error:
                # It would fail again for ever: keep it aside for a person, and go on with those behind it.
                print("put aside:", message.partition(), message.offset(), error)
            else:
                # Act once for each ce_id: the same event may come again.
                print(headers["ce_id"], data["$key"], data)
        consumer.commit(message)
finally:
    consumer.close()
""")

_JAVA = Template("""import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

public class $event {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", "$servers",
            "group.id", "my-service-java",
            "auto.offset.reset", "earliest",
            "enable.auto.commit", "false");
        ObjectMapper json = new ObjectMapper();
        try (var consumer = new KafkaConsumer<>(
                settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of("$topic"));
            while (true) {
                for (var message : consumer.poll(Duration.ofSeconds(1))) {
                    var type = message.headers().lastHeader("ce_type");
                    if (type == null
                            || !"$type".equals(new String(type.value(), StandardCharsets.UTF_8))) {
                        continue;
                    }
                    int start = $java_skip;$other_why
                    byte[] value = message.value();
                    var data = json.readTree(value, start, value.length - start);
                    // Act once for each ce_id: the same event may come again.
                    System.out.println(data.get("$key").asText() + " " + data);
                }
                consumer.commitSync();
            }
        }
    }
}
""")

_JAVASCRIPT = Template("""import kafkajs from "kafkajs";
import lz4 from "lz4-napi";

// Records are packed with LZ4, which kafkajs leaves to a package.
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
  decompress: (packed) => lz4.decompressFrame(packed),
});
const kafka = new kafkajs.Kafka({ clientId: "my-service", brokers: "$servers".split(",") });
const consumer = kafka.consumer({ groupId: "my-service-js" });
await consumer.connect();
await consumer.subscribe({ topic: "$topic", fromBeginning: true });
await consumer.run({
  eachMessage: async ({ message }) => {
    if (String(message.headers.ce_type) !== "$type") return;
    const data = JSON.parse($js_data);$other_why
    // Act once for each ce_id: the same event may come again.
    console.log(String(message.headers.ce_id), data.$key, data);
  },
});
""")

_PROGRAMS = (
    ("Python", Template("pip install confluent-kafka"), _PYTHON),
    (
        _("Python, checked by the registry"),
        Template("pip install 'confluent-kafka[json,schemaregistry]'"),
        _PYTHON_REGISTRY,
    ),
    ("Java", Template("org.apache.kafka:kafka-clients, com.fasterxml.jackson.core:jackson-databind"), _JAVA),
    ("JavaScript", Template("npm install kafkajs lz4-napi"), _JAVASCRIPT),
)
