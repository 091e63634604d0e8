"""What a subject is configured to, gathered from itself, its context and everything, nearest first."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schema_registry.domain.levels import Level

Block = dict[str, Any]

LENIENT = "LENIENT"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The answer to every question that a registration asks of the settings."""

    level: Level = Level.BACKWARD
    lenient: bool = False
    normalize: bool = False
    group: str | None = None
    """Property of the metadata; only versions with the same value of it are compared."""
    default_metadata: Block | None = None
    override_metadata: Block | None = None
    default_rule_set: Block | None = None
    override_rule_set: Block | None = None

    @classmethod
    def gathered(cls, found: Sequence[tuple[str | None, Mapping[str, Any]]]) -> "Configuration":
        """From (level, other fields) of each place, nearest first; a field nobody set has its default."""
        level = next((level for level, _others in found if level is not None), Level.BACKWARD)

        def first(name: str) -> Any:
            return next((others[name] for _level, others in found if others.get(name) is not None), None)

        return cls(
            level=Level(level),
            lenient=first("compatibilityPolicy") == LENIENT,
            normalize=bool(first("normalize")),
            group=first("compatibilityGroup"),
            default_metadata=first("defaultMetadata"),
            override_metadata=first("overrideMetadata"),
            default_rule_set=first("defaultRuleSet"),
            override_rule_set=first("overrideRuleSet"),
        )

    def metadata(self, sent: Block | None, previous: Block | None) -> Block | None:
        """What was sent, or else what the version before has, between the default and the override."""
        own = previous if sent is None else sent
        return merged_metadata(merged_metadata(self.default_metadata, own), self.override_metadata)

    def rule_set(self, sent: Block | None, previous: Block | None) -> Block | None:
        own = previous if sent is None else sent
        return merged_rules(merged_rules(self.default_rule_set, own), self.override_rule_set)


def merged_metadata(under: Block | None, over: Block | None) -> Block | None:
    """Tags of both, properties of both with the upper ones winning, sensitive names of both."""
    if under is None or over is None:
        return over if under is None else under
    found: Block = {}
    tags = _by_name(under.get("tags"), over.get("tags"))
    if tags:
        found["tags"] = {name: sorted({*_listed(under, name), *_listed(over, name)}) for name in tags}
    properties = {**(under.get("properties") or {}), **(over.get("properties") or {})}
    if properties:
        found["properties"] = properties
    sensitive = sorted({*(under.get("sensitive") or ()), *(over.get("sensitive") or ())})
    if sensitive:
        found["sensitive"] = sensitive
    return found


def merged_rules(under: Block | None, over: Block | None) -> Block | None:
    """Rules of both by their names; the upper ones win and stand last."""
    if under is None or over is None:
        return over if under is None else under
    found: Block = {}
    for kind in ("migrationRules", "domainRules", "encodingRules"):
        upper = over.get(kind) or []
        names = {rule.get("name") for rule in upper}
        rules = [rule for rule in under.get(kind) or [] if rule.get("name") not in names] + list(upper)
        if rules:
            found[kind] = rules
    enable_at = over.get("enableAt", under.get("enableAt"))
    return found if enable_at is None else found | {"enableAt": enable_at}


def has_rule(rules: Block | None, kind: str) -> bool:
    """Whether any rule is of this type."""
    parts = (part for part in (rules or {}).values() if isinstance(part, list))
    return any(rule.get("type") == kind for part in parts for rule in part)


def without_rules(rules: Block, names: Collection[str]) -> Block:
    """The same rules but for those of these names."""
    return {
        kind: [rule for rule in part if rule.get("name") not in names] if isinstance(part, list) else part
        for kind, part in rules.items()
    }


def _by_name(*blocks: Any) -> list[str]:
    return sorted({name for block in blocks for name in (block or {})})


def _listed(block: Block, name: str) -> list[str]:
    return (block.get("tags") or {}).get(name) or []
