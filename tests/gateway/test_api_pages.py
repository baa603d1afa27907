"""docs/api: each interaction and operation has its page, and the examples on it are true."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.operations.registry import ROWS
from gateway.rest.route import ROUTES
from gateway.store.memory import MemoryStore
from tests.gateway.server import Server

FOLDER = Path(__file__).parent.parent.parent / "docs" / "api"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.stem not in ("README", "limits"))
BLOCK = re.compile(r"```http\n(.*?)\n```", re.DOTALL)
# Operations whose pages lie elsewhere: validation, terminology, messages, recognition.
PAGE_OF = {"meta-add": "meta", "meta-delete": "meta"}
OWN = ("everything", "document", "lastn", "match", "meta", "meta-add", "meta-delete", "graphql")
FILES = {"bundle": "transaction", "respond_async": "async"}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(MemoryStore())
    yield server
    server.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_are_true(page: Path, server: Server) -> None:
    blocks = BLOCK.findall(page.read_text("utf-8"))
    assert blocks
    for block in blocks:
        asked, _, told = block.partition("\n→ ")
        head, _, body = asked.partition("\n\n")
        line, *headers = head.strip("\n").split("\n")
        method, _, path = line.strip().partition(" ")
        named = {name.replace("-", "_"): value for name, value in (row.split(": ", 1) for row in headers)}
        answer = server.request(method, path, body.strip() or None, **named)
        status, *rest = told.strip().split("\n")
        assert answer.status_code == int(status), f"{line}: {answer.status_code} {answer.text[:600]}"
        for row in rest:
            if row.startswith("{"):
                assert_part(json.loads(row), answer.json())
            else:
                name, value = row.split(": ", 1)
                assert answer.headers[name] == value


def assert_part(part: object, whole: object) -> None:
    """Everything in `part` is in `whole`."""
    if isinstance(part, dict):
        assert isinstance(whole, dict)
        for key, value in part.items():
            assert key in whole
            assert_part(value, whole[key])
    else:
        assert part == whole


def test_every_interaction_has_its_page() -> None:
    for target in set(ROUTES.values()):
        module = target.partition(":")[0]
        assert (FOLDER / f"{FILES.get(module, module)}.md").exists(), module


def test_every_operation_of_this_package_has_its_page() -> None:
    names = {row.name for row in ROWS}
    for name in OWN:
        assert name in names
        assert (FOLDER / f"{PAGE_OF.get(name, name)}.md").exists(), name
