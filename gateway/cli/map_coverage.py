"""`hutong map coverage [FILE…]`: what the maps read of real messages, and what they leave."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import FINDINGS
from gateway.cli.map import Adapter, Maps
from gateway.cli.serve import AsJson, Config
from gateway.cli.speech import language, print_json, say, styled, table
from gateway.settings import load_settings
from mappings.convert import convert
from mappings.language.active import ActiveMaps
from mappings.language.result import Result
from mappings.language.trial import record_of
from terminology.fhirjson import Json
from terminology.issues import FhirError, NotFound

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help=say(
            "消息文件或目录；缺省用映射自带的测试。",
            "Files of messages or folders; default: the tests that the maps carry.",
        )
    ),
]
MOST_UNREAD = 40
MOST_MESSAGES = 1_000_000


@dataclass
class Row:
    """What one map read of all the messages: filled fields, those that no line reads, codes without a row."""

    messages: int = 0
    read: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    unmapped: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        coverage = result.coverage
        self.messages += 1
        self.read += coverage.read
        for row in coverage.unread:
            self.unread[row.field] += row.times
            self.examples.setdefault(row.field, row.example)
        for missed in result.unmapped:
            self.unmapped[missed.domain, missed.code or missed.display or "-"] += 1

    @property
    def ratio(self) -> float:
        total = self.read + sum(self.unread.values())
        return self.read / total if total else 1.0

    def as_json(self, name: str) -> Json:
        return {
            "map": name,
            "messages": self.messages,
            "fields_read": self.read,
            "ratio": round(self.ratio, 4),
            "unread": [
                {"field": name, "times": times, "example": self.examples[name]}
                for name, times in self.unread.most_common()
            ],
            "unmapped": [
                {"domain": domain, "code": code, "times": times}
                for (domain, code), times in self.unmapped.most_common()
            ],
        }


def coverage(
    files: Files = None,
    adapter: Adapter = "",
    maps: Maps = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    settings = load_settings(os.environ, file=config, maps=maps)
    active = ActiveMaps(settings.maps)
    rows: dict[str, Row] = {}
    problems: list[str] = []
    for result in (
        _of_files(files, active, adapter, problems) if files else _of_trials(active, adapter, problems)
    ):
        rows.setdefault(result.mapping, Row()).add(result)
    if as_json:
        print_json({"maps": [rows[name].as_json(name) for name in sorted(rows)], "problems": problems})
    else:
        _print(rows)
        for text in problems:
            print(f"{styled('✗', 'red')} {text}")
    if problems:
        raise typer.Exit(FINDINGS)


def _of_files(files: list[Path], active: ActiveMaps, adapter: str, problems: list[str]) -> Iterator[Result]:
    for path in _each(files):
        try:
            yield from convert(path.read_bytes(), active, adapter=adapter, limit=MOST_MESSAGES)
        except FhirError as error:
            problems += [f"{path}: {issue.text(language())} ({issue.code})" for issue in error.issues]


def _each(files: list[Path]) -> Iterator[Path]:
    for path in files:
        if not path.exists():
            raise NotFound("HT-CLI-14", path=path)
        found = sorted(place for place in path.rglob("*") if place.is_file()) if path.is_dir() else [path]
        yield from (place for place in found if not place.name.endswith(".expected.json"))


def _of_trials(active: ActiveMaps, adapter: str, problems: list[str]) -> Iterator[Result]:
    """The messages of the tests inside the maps: the least that a map should read."""
    for map in [active.get(adapter)] if adapter else active.all():
        for trial in map.document.trials:
            try:
                yield map.convert(record_of(map, trial), active.sender, active.translator)
            except (FhirError, OSError) as error:
                problems.append(f"{trial.place}: {error}")


def _print(rows: dict[str, Row]) -> None:
    head = (
        say("映射", "map"),
        say("消息", "messages"),
        say("已读", "read"),
        say("未读", "not read"),
        say("覆盖", "coverage"),
    )
    print(
        table(
            [
                (name, str(row.messages), str(row.read), str(sum(row.unread.values())), f"{row.ratio:.1%}")
                for name, row in sorted(rows.items())
            ],
            head=head,
        )
    )
    for name, row in sorted(rows.items()):
        if row.unread or row.unmapped:
            print(f"\n{styled(name, 'bold')}")
        for place, times in row.unread.most_common(MOST_UNREAD):
            print(say(f"  未读 {place} ×{times}：", f"  not read {place} ×{times}: ") + row.examples[place])
        if len(row.unread) > MOST_UNREAD:
            more = len(row.unread) - MOST_UNREAD
            print(
                say(
                    f"  … 另有 {more} 个字段（--json 全部列出）",
                    f"  … and {more} fields more (--json lists all)",
                )
            )
        for (domain, code), times in row.unmapped.most_common(10):
            print(say(f"  未对照 {domain}：{code} ×{times}", f"  not mapped {domain}: {code} ×{times}"))
