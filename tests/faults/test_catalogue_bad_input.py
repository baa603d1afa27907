"""What no client should send to `/catalogues` and `/codes`: a 4xx with a reason, and nothing is half published."""

import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from gateway.app import Gateway
from terminology.catalogue.load import load_table
from terminology.issues import FhirError
from tests.gateway.running import run, running

FILES: list[bytes] = [
    b"code,display,parent\nI10,a,\nI10.1,b,I10\n",
    "编码,名称,规格,可用层级,价格,医保编码\nD1,甲片,5mg,县,12,X\nD2,乙片,,村,-1,\n".encode(),
    "编码,名称\nA,高血压\n".encode("gbk"),
    b"",
    b"code,display\n",
    b"\x00\xff",
    b'code,display\n"unclosed,1\n',
    b'{"resourceType":"CodeSystem","url":"u","concept":[{"code":"a"}]}',
    b'{"resourceType":"CodeSystem","url":"u","concept":[{"code":"a","designation":[5],"property":[null]}]}',
    b'{"resourceType":"Bundle","entry":5}',
    b"<ClaML/>",
    b"PK\x03\x04broken",
]
NAMES = ("a.csv", "a.csv", "a.csv", "a.json", "a.ndjson", "a.xml", "a.xlsx", "a.zip", "a.tgz", "a.doc")
COLUMNS = ("", "", "[", '{"properties":5}', '{"code":{"a":1}}', '{"code":99}', '{"properties":{"x":[null]}}')
JUNK: list[Any] = [None, True, -1, 10**25, "", "a" * 2000, "\u0000", "../x", [], {}, ["x"], "2026-13-01"]


def request_of(rng: random.Random) -> tuple[str, str, bytes]:
    """Return method, path and body of a request of which one part or another is wrong."""

    def body(**values: Any) -> bytes:
        kept = {
            name: value if rng.random() < 0.9 else rng.choice(JUNK)
            for name, value in values.items()
            if rng.random() < 0.95
        }
        return (
            json.dumps(kept).encode() if rng.random() < 0.95 else rng.choice([b"[", b"[]", b"null", b"\xff"])
        )

    who, id = rng.choice(["甲", "乙"]), rng.choice(["dx", "rx", "nothing", "a_b", "x" * 60])
    kind = rng.choice(["diagnosis", "drug", "lab-item", "x"])
    upload = {
        "catalogue": id, "kind": kind, "who": who, "name": rng.choice(NAMES), "columns": rng.choice(COLUMNS),
        "levels": rng.choice(["true", "false", "1"]), "dry-run": rng.choice(["false", "true", "maybe"]),
    }  # fmt: skip
    number = rng.choice([1, 2, 3, 99, "x"])
    step = rng.choice(["submit", "approve", "reject", "publish"])
    work = rng.choice(["propose", "approve", "reject", "reconcile", "accept", "carry-over"])
    seen = rng.choice(["rows", "row", "suggestions", "tasks", "export", "audit", "publications/1"])
    drug = {"member": "h1", "tier": "village", "code": "D1", "available": True, "reason": "r"}
    proposal = {"code": "I10", "target": "I10", "relationship": "broader", "codes": ["I10"], "cut": 0.9}
    return rng.choice(
        [
            ("POST", f"/catalogues?{urlencode(upload)}", rng.choice(FILES)),
            ("POST", f"/catalogues/change-sets/{number}/{step}", body(who=who, note="n", effective="2099-01-01")),
            ("GET", f"/catalogues/change-sets/{number}/affected", b""),
            ("POST", f"/catalogues/{id}/rollback", body(who=who, to=1, reason="r")),
            ("POST", f"/catalogues/{id}/deviations", body(who=who, **drug)),
            ("POST", f"/catalogues/deviations/{number}/approve", body(who=who)),
            ("GET", f"/catalogues/{id}/export?format={rng.choice(['csv', 'json', 'recognition', 'x'])}", b""),
            ("GET", f"/catalogues/{id}/available?tier={rng.choice(['village', 'x'])}&code=D1&member=h1", b""),
            ("POST", f"/codes/h1/{kind}?{urlencode({'catalogue': id, 'who': who})}", rng.choice(FILES)),
            ("POST", f"/codes/h1/{kind}/{work}", body(who=who, **proposal)),
            ("GET", f"/codes/h1/{kind}/{seen}?code=I10&count={rng.choice(['1', 'x', '-5'])}", b""),
        ]
    )  # fmt: skip


async def ask(gateway: Gateway, requests: list[tuple[str, str, bytes]]) -> dict[int, int]:
    """Return how many answers had which status."""
    transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application of plain dicts
    found: dict[int, int] = {}
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        for method, path, body in requests:
            answer = await client.request(method, path, content=body)
            assert answer.status_code < 500, (method, path, body, answer.text)
            found[answer.status_code] = found.get(answer.status_code, 0) + 1
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_ends_in_an_accident(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        async with running(tmp_path) as gateway:
            rng = random.Random(seed)
            good = [
                ("POST", "/catalogues?catalogue=dx&kind=diagnosis&who=a", FILES[0]),
                (
                    "POST",
                    "/catalogues?catalogue=rx&kind=drug&who=a",
                    "编码,名称,可用层级\nD1,甲片,县\n".encode(),
                ),
            ]
            for number in (1, 2):
                for step, who in (("submit", "a"), ("approve", "b"), ("publish", "b")):
                    good.append(("POST", f"/catalogues/change-sets/{number}/{step}?who={who}", b""))
            found = await ask(gateway, good + [request_of(rng) for _ in range(600)])
            assert {200, 201, 400, 404} <= found.keys()

    run(main())


@pytest.mark.parametrize(
    ("name", "content", "columns", "code"),
    [
        ("a.json", FILES[8], {}, "HT-TX-04"),
        ("a.json", FILES[9], {}, "HT-CAT-16"),
        ("a.csv", FILES[0], {"properties": 5}, "HT-CAT-02"),
        ("a.csv", FILES[0], {"code": {"a": 1}}, "HT-CAT-02"),
        ("a.csv", FILES[0], {"properties": {"x": [None]}}, "HT-CAT-02"),
    ],
)
def test_a_file_or_column_map_of_the_wrong_shape(
    name: str, content: bytes, columns: dict[str, Any], code: str
) -> None:
    with pytest.raises(FhirError, match=code):
        load_table(name, content, columns)
