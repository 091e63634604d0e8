import java.util.List;
import java.util.Map;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.avro.AvroSchema;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.RestService;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.SchemaReference;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.requests.RegisterSchemaRequest;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;

/** Confluent's Java client: each line it prints is a name and what the registry answered. */
public class Client {
    static final String RECORD = "{\"type\":\"record\",\"name\":\"Task\",\"fields\":[%s]}";
    static final String TITLE = "{\"name\":\"title\",\"type\":\"string\"}";
    static final String PRICE = ",{\"name\":\"price\",\"type\":\"long\",\"default\":0}";
    static final String OTHER = ",{\"name\":\"price\",\"type\":\"string\"}";

    public static void main(String[] words) throws Exception {
        Map<String, String> headers = Map.of("Authorization", "Bearer " + words[1]);
        RestService rest = new RestService(words[0]);
        rest.setHttpHeaders(headers);
        CachedSchemaRegistryClient client = new CachedSchemaRegistryClient(rest, 100);
        avro(client, rest);
        json(rest, words[2]);
        say("mode", client.getMode());
        say("types", rest.getSchemaTypes());
        client.close();
    }

    static void avro(CachedSchemaRegistryClient client, RestService rest) throws Exception {
        AvroSchema first = new AvroSchema(String.format(RECORD, TITLE));
        AvroSchema second = new AvroSchema(String.format(RECORD, TITLE + PRICE));
        AvroSchema broken = new AvroSchema(String.format(RECORD, TITLE + OTHER));
        int id = client.register("java-value", first);
        say("same id", id == client.getId("java-value", first));
        say("by id", new CachedSchemaRegistryClient(rest, 10).getSchemaById(id).equals(first));
        say("compatible", client.testCompatibility("java-value", second));
        say("incompatible", client.testCompatibility("java-value", broken));
        say("reasons", client.testCompatibilityVerbose("java-value", broken).size() > 0);
        client.register("java-value", second);
        say("latest", client.getLatestSchemaMetadata("java-value").getVersion());
        say("version", client.getVersion("java-value", second));
        try {
            client.register("java-value", broken);
        } catch (RestClientException refused) {
            say("refused", refused.getStatus() + " " + refused.getErrorCode());
        }
        client.updateCompatibility("java-value", "NONE");
        say("level", client.getCompatibility("java-value"));
        say("subjects of id", client.getAllSubjectsById(id));
        say("deleted", client.deleteSubject("java-value"));
    }

    static void json(RestService rest, String protobuf) throws Exception {
        RegisterSchemaRequest price = request("JSON", "{\"type\":\"integer\"}");
        say("json", rest.registerSchema(price, "price", false).getId() > 0);
        RegisterSchemaRequest task = request("JSON", "{\"$ref\":\"price.json\"}");
        task.setReferences(List.of(new SchemaReference("price.json", "price", 1)));
        int id = rest.registerSchema(task, "json", false).getId();
        say("references", rest.getId(id).getReferences().equals(task.getReferences()));
        say("looked up", rest.lookUpSubjectVersion(task, "json", false, false).getVersion());
        say("protobuf", rest.registerSchema(request("PROTOBUF", protobuf), "protobuf", false).getId() > 0);
        say("protobuf text", rest.getVersion("protobuf", 1).getSchema().contains("message Task"));
        try {
            rest.getVersion("nowhere", 1);
        } catch (RestClientException refused) {
            say("unknown", refused.getStatus() + " " + refused.getErrorCode());
        }
    }

    static RegisterSchemaRequest request(String type, String schema) {
        RegisterSchemaRequest request = new RegisterSchemaRequest();
        request.setSchemaType(type);
        request.setSchema(schema);
        return request;
    }

    static void say(String name, Object answer) {
        System.out.println(name + " = " + answer);
    }
}
