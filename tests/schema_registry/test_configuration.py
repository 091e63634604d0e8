"""What a subject can be configured to beside its level."""

from tests.schema_registry.conftest import Asked, an_object, sent

TEXT = {"type": "string"}


class TestPolicy:
    async def test_lenient(self, asked: Asked) -> None:
        """An optional property may join an open object, which the strict policy refuses."""
        await asked.post("/subjects/t/versions", sent(an_object(a=TEXT)))
        more = sent(an_object(a=TEXT, b=TEXT))
        assert await asked.refused("POST", "/subjects/t/versions", more) == (409, 40901)
        await asked.put("/config/t", {"compatibility": "BACKWARD", "compatibilityPolicy": "LENIENT"})
        assert (await asked.post("/subjects/t/versions", more))["version"] == 2
        for policy in ("KIND", "LOGICAL"):
            assert await asked.refused("PUT", "/config/t", {"compatibilityPolicy": policy}) == (422, 42203)

    async def test_group(self, asked: Asked) -> None:
        """Versions whose metadata names another group are not compared."""
        await asked.put("/config/t", {"compatibilityGroup": "major"})

        def of(major: str, schema: object) -> dict[str, object]:
            return sent(schema, metadata={"properties": {"major": major}})

        await asked.post("/subjects/t/versions", of("1", an_object(a=TEXT)))
        number = an_object(a={"type": "integer"})
        assert await asked.refused("POST", "/subjects/t/versions", of("1", number)) == (409, 40901)
        checked = "/compatibility/subjects/t/versions"
        assert (await asked.post(checked, of("1", number)))["is_compatible"] is False
        assert (await asked.post(checked, of("2", number)))["is_compatible"] is True
        assert (await asked.post("/subjects/t/versions", of("2", number)))["version"] == 2


class TestReservedNames:
    async def test_they_stay_reserved_and_unused(self, asked: Asked) -> None:
        """Metadata reserves names: taking one back, or using one, breaks the promise."""
        closed = {**an_object(a=TEXT), "additionalProperties": False}
        more = {**an_object(a=TEXT, b=TEXT), "additionalProperties": False}

        def reserving(names: str, schema: object) -> dict[str, object]:
            return sent(schema, metadata={"properties": {"confluent:reserved": names}})

        await asked.post("/subjects/t/versions", reserving("b, c", closed))
        checked = "/compatibility/subjects/t/versions/latest?verbose=true"
        answer = await asked.post(checked, reserving("b,c", more))
        assert "RESERVED_PROPERTY_CONFLICTS_WITH_PROPERTY" in answer["messages"][0]
        assert "'#/properties/b'" in answer["messages"][0]
        answer = await asked.post(checked, reserving("b", closed))
        assert "RESERVED_PROPERTY_REMOVED" in answer["messages"][0]
        assert await asked.refused("POST", "/subjects/t/versions", reserving("c", more)) == (409, 40901)
        # Metadata that is not sent goes on from the version before.
        assert await asked.refused("POST", "/subjects/t/versions", sent(more)) == (409, 40901)
        assert (await asked.post("/subjects/t/versions", reserving("b,c,d", closed)))["version"] == 2


class TestNames:
    async def test_alias(self, asked: Asked) -> None:
        """Another name leads to the subject; settings stay with the name they were given."""
        registered = await asked.post("/subjects/real/versions", sent(an_object(a=TEXT)))
        await asked.put("/config/nick", {"alias": "real"})
        assert (await asked.get("/subjects/nick/versions/latest"))["subject"] == "real"
        assert (await asked.post("/subjects/nick", sent(an_object(a=TEXT))))["id"] == registered["id"]
        assert "nick" in [one["subject"] for one in await asked.get("/schemas", params={"aliases": "true"})]
        assert await asked.get("/config/nick") == {"compatibilityLevel": "BACKWARD", "alias": "real"}
        await asked.put("/config/nick", {"alias": None})
        assert await asked.refused("GET", "/subjects/nick/versions") == (404, 40401)


class TestMerging:
    async def test_metadata(self, asked: Asked) -> None:
        """Defaults stand below what is sent, overrides above it."""
        await asked.put(
            "/config",
            {
                "defaultMetadata": {"properties": {"owner": "nobody", "kind": "event"}, "tags": {"a": ["X"]}},
                "overrideMetadata": {"properties": {"checked": "yes"}, "sensitive": ["checked"]},
            },
        )
        own = {"properties": {"owner": "money", "checked": "no"}, "tags": {"a": ["Y"]}}
        found = await asked.post("/subjects/t/versions", sent(an_object(a=TEXT), metadata=own))
        assert found["metadata"] == {
            "properties": {"owner": "money", "kind": "event", "checked": "yes"},
            "tags": {"a": ["X", "Y"]},
            "sensitive": ["checked"],
        }

    async def test_rules(self, asked: Asked) -> None:
        """Rules are merged by their names."""
        low, high = {"name": "a", "kind": "CONDITION"}, {"name": "a", "kind": "TRANSFORM"}
        other = {"name": "b", "kind": "CONDITION"}
        await asked.put("/config/t", {"defaultRuleSet": {"domainRules": [low, other]}})
        found = await asked.post(
            "/subjects/t/versions", sent(an_object(a=TEXT), ruleSet={"domainRules": [high]})
        )
        assert found["ruleSet"] == {"domainRules": [other, high]}

    async def test_normalised_references(self, asked: Asked) -> None:
        """Where schemas are normalised their references have one order and no twins."""
        for name in ("a", "b"):
            await asked.post(f"/subjects/{name}/versions", sent({"type": "integer"}))
        references = [{"name": name, "subject": name, "version": 1} for name in ("b", "a", "b")]
        schema = an_object(one={"$ref": "a"}, two={"$ref": "b"})
        await asked.put("/config/t", {"normalize": True})
        found = await asked.post("/subjects/t/versions", sent(schema, references=references))
        assert [one["name"] for one in found["references"]] == ["a", "b"]
        again = await asked.post("/subjects/t", sent(schema, references=references[::-1]))
        assert again["version"] == 1


class TestVersions:
    async def test_deleted_as_negative(self, asked: Asked) -> None:
        """Versions deleted softly can be listed as negative numbers."""
        await asked.post("/subjects/t/versions", sent(an_object(a=TEXT)))
        await asked.post("/subjects/t/versions", sent(an_object(a=TEXT) | {"title": "x"}))
        await asked.delete("/subjects/t/versions/1")
        assert await asked.get("/subjects/t/versions", params={"deletedAsNegative": "true"}) == [-1, 2]
