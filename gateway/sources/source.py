"""The file of sources: which folders, views and interfaces are read, how often, by which map. YAML, checked as a whole.

Secrets stand in the environment: `${NAME}` in a text is replaced when the file is read, and never shown.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from terminology.issues import InvalidInput, Issue

Ready = Literal["stable", "marker", "rename"]
LARGEST = 1024 * 1024
MOST = 500

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_\u4e00-\u9fff][A-Za-z0-9_.\u4e00-\u9fff-]{0,63}")
_IDENTIFIER = re.compile(
    r"[A-Za-z_\u4e00-\u9fff][\w$#\u4e00-\u9fff]{0,127}(\.[A-Za-z_\u4e00-\u9fff][\w$#\u4e00-\u9fff]{0,127}){0,2}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What all sources have. `adapter`: kind of message ("table", "hl7v2", "ecg", …), "" = by the bytes."""

    name: str
    adapter: str = "table"
    map: str = ""
    every_seconds: float = 30.0

    @property
    def kind(self) -> str:
        raise NotImplementedError

    @property
    def place(self) -> str:
        """Where it reads, without secrets."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder(Source):
    """Files of a drop folder.

    `ready`: stable (size and time unchanged for `stable_seconds`), marker (NAME.ok stands beside it), rename (whole as
    soon as its name no longer ends with .tmp, .part, .filepart). `processed`, `failed`: where files go, within `path`.
    """

    path: Path
    adapter: str = ""
    pattern: str = "*"
    ready: Ready = "stable"
    stable_seconds: float = 5.0
    processed: str = "processed"
    failed: str = "failed"
    every_seconds: float = 5.0

    @property
    def kind(self) -> str:
        return "folder"

    @property
    def place(self) -> str:
        return str(self.path / self.pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database(Source):
    """Rows of a view or query by a growing key, a time of change, or both; `batch` rows at a time.

    `overlap_seconds`: read again this far back, for rows whose transaction ended late.
    """

    url: str = field(repr=False)
    table: str = ""
    query: str = ""
    key: str = ""
    time: str = ""
    batch: int = 500
    overlap_seconds: float = 0.0

    @property
    def kind(self) -> str:
        return "database"

    @property
    def place(self) -> str:
        return f"{_without_password(self.url)} {self.table or 'query'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface(Source):
    """Rows of a vendor's HTTP interface. `since`: the row's field that tells how far it was read.

    In `url`, `params` and `body` stand {since}, {page} and {size}. `ok`: values of the envelope's code that mean success.
    """

    url: str = field(repr=False)
    method: Literal["GET", "POST"] = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = field(default=None, repr=False)
    code: str = "code"
    ok: tuple[str, ...] = ("0", "200", "success", "true", "1", "ok")
    message: str = "msg"
    data: str = ""
    since: str = ""
    first: str = ""
    size: int = 200
    pages: int = 100
    timeout_seconds: float = 30.0

    @property
    def kind(self) -> str:
        return "http"

    @property
    def place(self) -> str:
        return f"{self.method} {_without_password(self.url).partition('?')[0]}"


KINDS: dict[str, type[Source]] = {"folder": Folder, "database": Database, "http": Interface}
_BOUNDS = {
    "every_seconds": (0.2, 86_400.0),
    "stable_seconds": (0.0, 3_600.0),
    "overlap_seconds": (0.0, 604_800.0),
    "timeout_seconds": (0.1, 600.0),
    "batch": (1, 10_000),
    "size": (1, 10_000),
    "pages": (1, 10_000),
}


def load_sources(path: Path, environment: Mapping[str, str]) -> tuple[Source, ...]:
    """Return the sources of a file; raises InvalidInput (HT-TAB-10) with everything that is wrong with it."""
    import yaml

    try:
        raw = path.read_bytes()
        if len(raw) > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
        tree = yaml.safe_load(raw)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise InvalidInput("HT-TAB-10", file=path.name, reason=" ".join(str(error).split())[:300]) from None
    rows = tree.get("sources") if isinstance(tree, dict) else None
    if not isinstance(rows, list) or len(rows) > MOST:
        raise InvalidInput("HT-TAB-10", file=path.name, reason="sources: [...] is missing")
    problems: list[str] = []
    found: list[Source] = []
    for number, row in enumerate(rows, 1):
        reader = _Reader(row if isinstance(row, dict) else {}, f"sources[{number}]", environment, path.parent)
        source = reader.source()
        problems += reader.problems
        if source is not None:
            if any(other.name == source.name for other in found):
                problems.append(f"sources[{number}]: name {source.name!r} is used twice")
            found.append(source)
    if problems:
        raise InvalidInput([Issue("HT-TAB-10", {"file": path.name, "reason": text}) for text in problems])
    return tuple(found)


class _Reader:
    """Reads one entry and gathers what is wrong with it."""

    def __init__(self, row: dict[Any, Any], place: str, environment: Mapping[str, str], folder: Path) -> None:
        self.row, self.place, self.environment, self.folder = row, place, environment, folder
        self.problems: list[str] = []

    def source(self) -> Source | None:
        kind = self.row.get("kind")
        made = KINDS.get(str(kind))
        if made is None:
            self._wrong("kind", kind, " | ".join(KINDS))
            return None
        values = self._values(made)
        if not _NAME.fullmatch(str(values.get("name", ""))):
            self._wrong("name", values.get("name"), "letters, digits, . _ -")
        required = {"folder": ("path",), "database": ("url",), "http": ("url",)}[str(kind)]
        for name in required:
            if not values.get(name):
                self._wrong(name, values.get(name), "a value")
        if self.problems:
            return None
        source = made(**values)
        self._check(source)
        return source if not self.problems else None

    def _values(self, made: type[Source]) -> dict[str, Any]:
        known = set(made.__dataclass_fields__)
        values: dict[str, Any] = {}
        row = dict(self.row)
        envelope = row.pop("envelope", None)
        if made is Interface and isinstance(envelope, dict):
            row |= {name: envelope[name] for name in envelope}
        for name, value in row.items():
            if name == "kind":
                continue
            if name not in known:
                self._wrong(str(name), value, f"one of {', '.join(sorted(known))}")
                continue
            values[name] = self._value(name, value)
        return values

    def _value(self, name: str, value: Any) -> Any:
        value = self._filled(value)
        if name in _BOUNDS:
            low, high = _BOUNDS[name]
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                self._wrong(name, value, f"{low:g} to {high:g}")
                return low
            return value
        if name == "path":
            return (self.folder / str(value)).absolute()
        if name == "ok":
            return tuple(str(item).lower() for item in (value if isinstance(value, list) else [value]))
        if name in ("headers", "params"):
            if not isinstance(value, dict):
                self._wrong(name, value, "names and values")
                return {}
            return {str(key): str(item) for key, item in value.items()}
        if name == "body":
            return value
        if not isinstance(value, (str, int)):
            self._wrong(name, value, "a text")
        return str(value)

    def _filled(self, value: Any) -> Any:
        """Put environment variables in; one that isn't set is a problem, not an empty password."""
        if isinstance(value, str):

            def fill(match: re.Match[str]) -> str:
                if match[1] not in self.environment:
                    self.problems.append(
                        f"{self.place}：没有设置环境变量 {match[1]} / the environment has no {match[1]}"
                    )
                return self.environment.get(match[1], "")

            return _VARIABLE.sub(fill, value)
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        if isinstance(value, dict):
            return {key: self._filled(item) for key, item in value.items()}
        return value

    def _check(self, source: Source) -> None:
        if isinstance(source, Folder):
            if source.ready not in get_args(Ready):
                self._wrong("ready", source.ready, " | ".join(get_args(Ready)))
            for name in ("processed", "failed"):
                inner = getattr(source, name)
                if not inner or Path(inner).is_absolute() or ".." in Path(inner).parts:
                    self._wrong(name, inner, "a folder within path")
        elif isinstance(source, Database):
            if bool(source.table) == bool(source.query):
                self._wrong("table", source.table, "either table or query")
            if source.table and not _IDENTIFIER.fullmatch(source.table):
                self._wrong("table", source.table, "NAME or SCHEMA.NAME")
            if not (source.key or source.time):
                self._wrong("key", source.key, "key, time, or both")
            for name in ("key", "time"):
                column = getattr(source, name)
                if column and not _IDENTIFIER.fullmatch(column):
                    self._wrong(name, column, "a column name")
            if source.query and (
                ";" in source.query.rstrip(" ;\n") or not re.match(r"\s*(select|with)\b", source.query, re.I)
            ):
                self._wrong("query", source.query, "one SELECT")
        elif isinstance(source, Interface):
            if source.method not in ("GET", "POST"):
                self._wrong("method", source.method, "GET | POST")
            if not source.url.startswith(("http://", "https://")):
                self._wrong("url", _without_password(source.url), "http:// or https://")

    def _wrong(self, name: str, value: Any, expected: str) -> None:
        shown = "" if value is None else f" {str(value)[:60]!r}"
        self.problems.append(f"{self.place}.{name}:{shown} → {expected}")


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)
