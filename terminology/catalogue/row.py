"""A row of a catalogue and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from terminology.issues import Issue, Severity


@dataclass(frozen=True, slots=True)
class Name:
    """Another name of a concept: BCP-47 `language`; `use`: a designation use code ("synonym", "short", "trade")."""

    value: str
    language: str = "zh-CN"
    use: str = "synonym"


@dataclass(frozen=True, slots=True)
class Row:
    """One concept as a catalogue holds it. `parents` are codes; `properties` map a code to one JSON value or a list.

    `spellings` are input codes that the table carries itself (拼音码, 五笔码). `line`: where it stood in the file.
    """

    code: str
    display: str
    parents: tuple[str, ...] = ()
    names: tuple[Name, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    spellings: tuple[str, ...] = ()
    definition: str | None = None
    is_inactive: bool = False
    line: int | None = None

    def content(self) -> dict[str, Any]:
        """Return everything that a new version can change, as JSON: what two versions are compared by."""
        content: dict[str, Any] = {"display": self.display}
        if self.parents:
            content["parents"] = sorted(self.parents)
        if self.names:
            content["names"] = [[name.value, name.language, name.use] for name in self.names]
        if self.properties:
            content["properties"] = dict(sorted(self.properties.items()))
        if self.spellings:
            content["spellings"] = list(self.spellings)
        if self.definition:
            content["definition"] = self.definition
        if self.is_inactive:
            content["inactive"] = True
        return content


def from_content(code: str, content: Mapping[str, Any]) -> Row:
    """Return the row that `Row.content` described."""
    return Row(
        code=code,
        display=content["display"],
        parents=tuple(content.get("parents", ())),
        names=tuple(Name(*name) for name in content.get("names", ())),
        properties=content.get("properties", {}),
        spellings=tuple(content.get("spellings", ())),
        definition=content.get("definition"),
        is_inactive=content.get("inactive", False),
    )


@dataclass(frozen=True, slots=True)
class Table:
    """A file that was read: rows in its order, and every problem with the line where it lies.

    `encoding` is the one found ("gb18030" when a UTF-8 reading failed); `is_guessed` tells whether it was declared.
    """

    rows: tuple[Row, ...]
    problems: tuple[Issue, ...] = ()
    encoding: str = "utf-8"
    is_guessed: bool = False

    @property
    def is_loadable(self) -> bool:
        return not any(problem.severity in ("fatal", "error") for problem in self.problems)


def problem(code: str, line: int | None, severity: Severity = "error", **values: Any) -> Issue:
    """Return the issue of one line of a file."""
    return Issue(code, values, severity, source=f"line {line}" if line is not None else None)
