"""codes.yaml → CodeSystems with a ValueSet each, and ValueSets over systems that others publish."""

from functools import cache
from typing import Any

from conformance.profiles.build import BASE, header
from conformance.profiles.table import FOLDER, load_yaml
from terminology.fhirjson import Json


@cache
def code_table() -> dict[str, dict[str, Any]]:
    return load_yaml(FOLDER / "codes.yaml")


def code_system_ids() -> list[str]:
    return [identity for identity, row in code_table().items() if "codes" in row]


def to_code_system(identity: str) -> Json:
    row = code_table()[identity]
    return header("CodeSystem", identity, row["zh"], row["en"]) | {
        "description": f"{row['en']}. {row['zh']}。",
        "caseSensitive": True,
        "valueSet": f"{BASE}ValueSet/{identity}",
        "content": "complete",
        "count": len(row["codes"]),
        "concept": [_concept(str(code), words) for code, words in row["codes"].items()],
    }


def _concept(code: str, words: str) -> Json:
    """`words` is "中文 / English"; the display is Chinese, as in the catalogues."""
    zh, _, en = words.partition(" / ")
    return {
        "code": code,
        "display": zh,
        "designation": [{"language": "en", "value": en}],
    }


def to_value_set(identity: str) -> Json:
    row = code_table()[identity]
    include: list[Json] = []
    if "codes" in row:
        include.append({"system": f"{BASE}CodeSystem/{identity}"})
    for system, codes in row.get("include", {}).items():
        url = system if ":" in system else f"{BASE}CodeSystem/{system}"
        include.append(
            {"system": url} | ({"concept": [{"code": str(code)} for code in codes]} if codes else {})
        )
    return header("ValueSet", identity, row["zh"], row["en"]) | {
        "description": f"{row['en']}. {row['zh']}。",
        "compose": {"include": include},
    }
