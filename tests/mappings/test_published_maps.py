"""A map published while messages flow translates the next one, whatever converters remember of earlier ones."""

from mappings.hl7v2 import parse
from mappings.language.active import ActiveMaps
from terminology.fhirjson import Json

MESSAGE = (
    "MSH|^~\\&|LIS|H1|GW|X|20260315083012||ORU^R01|M1|P|2.4\r"
    "PID|1||P0001^^^H1^MR||张^三\r"
    "OBR|1|REQ1|LAB1|XCG^血常规\r"
    "OBX|1|NM|ZZ9^本院自定项目九^L||12.5|g/L|||||F\r"
).encode()


def concept_map(version: str, target: str) -> Json:
    element = {"code": "ZZ9", "target": [{"code": target, "equivalence": "equivalent"}]}
    group = {"source": "urn:h1", "target": "http://loinc.org", "element": [element]}
    return {"resourceType": "ConceptMap", "url": "urn:map:h1", "version": version, "group": [group]}


def codes(maps: ActiveMaps) -> tuple[list[str], int]:
    """Return the codes of the result and how many codes went to the work list."""
    result = maps.run(parse(MESSAGE))
    resources = [entry.resource for entry in result.entries]
    observation = next(row for row in resources if row["resourceType"] == "Observation")
    unmapped = [row for row in result.unmapped if row.code == "ZZ9"]
    return [row["code"] for row in observation["code"]["coding"]], len(unmapped)


def test_each_publication_counts_from_the_next_message_on() -> None:
    maps = ActiveMaps()
    assert codes(maps) == (["ZZ9"], 1)
    maps.translator.add("lab-item", concept_map("1", "2885-2"))
    assert codes(maps) == (["2885-2", "ZZ9"], 0)
    maps.translator.add("lab-item", concept_map("2", "1751-7"))
    assert codes(maps) == (["1751-7", "ZZ9"], 0)


def test_a_code_without_system_stays_when_two_members_differ() -> None:
    maps = ActiveMaps()
    maps.translator.add("lab-item", concept_map("1", "2885-2"))
    maps.translator.add("lab-item", {**concept_map("1", "1751-7"), "url": "urn:map:h2"})
    assert codes(maps) == (["ZZ9"], 1)
    maps.translator.add("lab-item", {**concept_map("2", "2885-2"), "url": "urn:map:h2"})
    assert codes(maps) == (["2885-2", "ZZ9"], 0)
