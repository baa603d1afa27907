"""Diagnoses of Chinese medicine come in pairs: a disease and a syndrome (GB/T 15657: 病名 with 证候)."""

from terminology.code_system import CodeSystem
from terminology.concept_status import text_of
from terminology.issues import Issue


def check_pair(system: CodeSystem, disease: str, syndrome: str) -> list[Issue]:
    """Return what is wrong with a pair of codes: unknown, of the wrong kind, or a heading and no code."""
    found = []
    for name, code, kind in (("disease", disease, "disease"), ("syndrome", syndrome, "syndrome")):
        ordinal = system.locate(code)
        if ordinal is None:
            found.append(
                Issue("HT-CAT-70", {"part": name, "concept": code, "catalogue": system.url}, expression=name)
            )
        elif kind not in [text_of(row) for row in system.properties(ordinal) if row["code"] == "kind"]:
            found.append(
                Issue(
                    "HT-CAT-71",
                    {"concept": code, "display": system.display(ordinal), "expected": kind,
                     "expected_zh": "病名" if kind == "disease" else "证候"},
                    expression=name,
                )
            )  # fmt: skip
        elif system.children(ordinal):
            found.append(
                Issue("HT-CAT-72", {"concept": code, "display": system.display(ordinal)}, "warning", name)
            )
    return found
