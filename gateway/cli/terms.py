"""`hutong terms …`: load, compare, approve, publish, roll back and export the catalogues."""

import os
import sys
import tomllib
from dataclasses import asdict
from datetime import date
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import FINDINGS, OK
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import language, print_json, say, styled, table
from gateway.cli.terms_options import (
    Columns,
    Count,
    DryRun,
    Effective,
    File,
    FileOrNames,
    Format,
    Kind,
    Label,
    Levels,
    Name,
    Number,
    On,
    OptionalName,
    Partial,
    Reason,
    Shipped,
    Title,
    To,
    Url,
    Who,
)
from gateway.settings import Settings, load_settings
from terminology.catalogue.diff import Diff
from terminology.catalogue.row import Table
from terminology.issues import InvalidInput

if TYPE_CHECKING:
    from gateway.catalogues.intake import Checked

SHOWN = 10
"""Rows of a difference or of a list of problems that a person sees; --json has all."""


def load(
    files: FileOrNames = None,
    catalogue: OptionalName = None,
    columns: Columns = None,
    url: Url = None,
    title: Title = None,
    kind: Kind = "codes",
    partial: Partial = False,
    dry_run: DryRun = False,
    shipped: Shipped = False,
    levels: Levels = False,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    from gateway.catalogues.authoring import Catalogue
    from gateway.catalogues.intake import check_table
    from gateway.catalogues.place import open_catalogues

    settings = load_settings(os.environ, file=config, data=data)
    if shipped:
        return _load_shipped(settings, files or [])
    if catalogue is None or len(files or ()) != 1:
        raise InvalidInput("HT-CLI-19", detail="FILE --catalogue NAME", command="terms load")
    file = Path((files or [""])[0])
    catalogues = open_catalogues(settings)
    known = catalogues.find(catalogue)
    checked = check_table(
        catalogues,
        known.id if known else catalogue,
        read_table(file, columns),
        kind=known.kind if known else kind,
        is_complete=not partial,
        with_levels=levels,
    )
    _show_problems(checked, as_json=as_json)
    if checked.difference is None:
        return FINDINGS
    if dry_run:
        return _show_diff(checked.difference, as_json=as_json)
    if known is None:
        address = url or f"https://hutong.health/fhir/CodeSystem/{catalogue}"
        known = Catalogue(catalogue, address, title or catalogue, kind, file.name)
        catalogues.register(known, who=who or getuser())
    change_set, difference = catalogues.draft(
        known.id, checked.table.rows, title=title or file.name, who=who or getuser(), is_complete=not partial
    )
    if as_json:
        print_json({"change_set": change_set.id, **_counts(difference)})
        return OK
    _show_diff(difference, as_json=False)
    print(
        say(
            f"变更集 {change_set.id} 已起草。下一步：hutong terms submit {change_set.id}",
            f"Change set {change_set.id} is drafted. Next: hutong terms submit {change_set.id}",
        )
    )
    return OK


def diff(
    file: File,
    catalogue: Annotated[str, typer.Option("--catalogue", help=say("目录名。", "The catalogue."))],
    columns: Columns = None,
    partial: Partial = False,
    levels: Levels = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    from gateway.catalogues.intake import check_table
    from gateway.catalogues.place import open_catalogues

    catalogues = open_catalogues(load_settings(os.environ, file=config, data=data))
    known = catalogues.get(catalogue)
    checked = check_table(
        catalogues,
        known.id,
        read_table(file, columns),
        kind=known.kind,
        is_complete=not partial,
        with_levels=levels,
    )
    _show_problems(checked, as_json=as_json)
    if checked.difference is None:
        return FINDINGS
    return _show_diff(checked.difference, as_json=as_json)


def changes(
    number: Number, count: Count = 20, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    from gateway.catalogues.intake import changes_report
    from gateway.catalogues.place import open_catalogues

    found = open_catalogues(load_settings(os.environ, file=config, data=data)).changes(number, limit=count)
    if as_json:
        print_json({"changes": changes_report(found)})
        return
    print(
        table(
            [
                [
                    row.code,
                    row.before.display if row.before else "—",
                    row.after.display if row.after else "—",
                    ", ".join(row.parts),
                ]
                for row in found
            ],
            head=say("编码 原 新 变更项", "code before after parts").split(),
        )
    )


def affected(number: Number, data: Data = None, config: Config = None, as_json: AsJson = False) -> int:
    """The running gateway knows who uses a code: it owns the store."""
    from gateway.cli.client import call_json
    from gateway.lock import holder
    from terminology.issues import Unavailable

    settings = load_settings(os.environ, file=config, data=data)
    url = str((holder(settings.data) or {}).get("url", ""))
    if not url:
        raise Unavailable("HT-CLI-20", command="terms affected")
    status, answer = call_json(url, f"/catalogues/change-sets/{number}/affected")
    if status != 200:
        print(answer["issue"][0]["details"]["text"], file=sys.stderr)
        return FINDINGS
    mappings, used = answer["affected_mappings"], answer["affected_resources"]
    if as_json:
        print_json(answer)
    else:
        print(
            say(
                f"{answer['codes']} 个编码有变：涉及 {mappings['count']} 条对码，"
                f"{used['count']} 份资源（{used['open']} 份未结）。",
                f"{answer['codes']} codes change: {mappings['count']} mappings and "
                f"{used['count']} resources ({used['open']} open) use them.",
            )
        )
        rows = [[row["code"], row["resource"], row["status"]] for row in used["rows"][:SHOWN]]
        rows += [
            [row["target"], f"{row['member']} {row['domain']}", row["local"]]
            for row in mappings["codes"][:SHOWN]
        ]
        print(table(rows))
    return FINDINGS if used["open"] or mappings["count"] else OK


def submit(
    number: Number, who: Who = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    _move(number, "submitted", who, None, data, config, as_json)


def approve(
    number: Number, who: Who = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    _move(number, "approved", who, None, data, config, as_json)


def reject(
    number: Number,
    reason: Reason,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    from gateway.catalogues.place import open_catalogues, snapshot_folder
    from gateway.catalogues.publish import reject as take_back

    settings = load_settings(os.environ, file=config, data=data)
    moved = take_back(
        open_catalogues(settings), number, who=who or getuser(), note=reason, folder=snapshot_folder(settings)
    )
    _show_step(moved, as_json)


def publish(
    number: Number,
    effective: Effective = None,
    label: Label = None,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    from gateway.catalogues.place import open_catalogues, snapshot_folder
    from gateway.catalogues.publish import write_snapshot

    settings = load_settings(os.environ, file=config, data=data)
    catalogues = open_catalogues(settings)
    version = catalogues.publish(
        number, who=who or getuser(), effective=_day(effective) or _today(settings), label=label
    )
    write_snapshot(catalogues, version, snapshot_folder(settings))
    _show(
        asdict(version),
        say(
            f"{version.catalogue} 第 {version.number} 版（{version.label}）自 {version.effective_from} 起生效。",
            f"{version.catalogue} version {version.number} ({version.label}) is in force from {version.effective_from}.",
        ),
        as_json,
    )


def rollback(
    catalogue: Name,
    to: To,
    reason: Reason,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    from gateway.catalogues.place import open_catalogues

    catalogues = open_catalogues(load_settings(os.environ, file=config, data=data))
    found = catalogues.rollback(catalogues.get(catalogue).id, to=to, who=who or getuser(), reason=reason)
    _show(
        asdict(found),
        say(
            f"变更集 {found.id}：{catalogue} 回到第 {to} 版的内容，待另一人审核。下一步：hutong terms approve {found.id}",
            f"Change set {found.id} would bring back version {to} of {catalogue}; another person approves it: "
            f"hutong terms approve {found.id}",
        ),
        as_json,
    )


def export(
    catalogue: Name, date: On = None, format: Format = "csv", data: Data = None, config: Config = None
) -> int:
    from gateway.catalogues.place import open_catalogues
    from gateway.catalogues.publish import to_csv, to_recognition_items, to_resource

    settings = load_settings(os.environ, file=config, data=data)
    catalogues = open_catalogues(settings)
    held = catalogues.get(catalogue)
    version = catalogues.in_force(held.id, _day(date) or _today(settings))
    if version is None:
        print(say("该日没有生效的版本。", "No version was in force on that day."))
        return FINDINGS
    rows = catalogues.rows(held.id, version.number)
    if format == "json":
        print_json(to_resource(held, version, rows))
    elif format in ("csv", "recognition"):
        print(to_csv(rows) if format == "csv" else to_recognition_items(held, rows), end="")
    else:
        raise InvalidInput("HT-CLI-19", detail=f"--format {format}: csv json recognition", command="terms")
    return OK


def list_catalogues(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    from gateway.catalogues.place import open_catalogues

    settings = load_settings(os.environ, file=config, data=data)
    catalogues = open_catalogues(settings)
    rows = []
    for row in catalogues.all():
        version = catalogues.in_force(row.id, _today(settings))
        rows.append(
            {
                "id": row.id,
                "title": row.title,
                "kind": row.kind,
                "version": version.label if version else None,
                "from": str(version.effective_from) if version else None,
                "url": row.url,
            }
        )
    if as_json:
        print_json(
            {
                "catalogues": rows,
                "change_sets": [
                    asdict(row)
                    for row in catalogues.change_sets()
                    if row.state not in ("superseded", "rejected", "in-force")
                ],
            }
        )
        return
    if not rows:
        print(
            say(
                "还没有目录。hutong terms load --shipped 导入随软件提供的目录。",
                "No catalogues yet. hutong terms load --shipped loads those that come with Hutong.",
            )
        )
        return
    print(
        table(
            [[row["id"], row["title"], row["version"] or "—", row["from"] or "—"] for row in rows],
            head=say("目录 名称 版本 生效", "id title version from").split(),
        )
    )
    waiting = [
        row
        for row in catalogues.change_sets()
        if row.state in ("draft", "submitted", "approved", "scheduled")
    ]
    if waiting:
        print(
            table(
                [[row.id, row.catalogue, row.state, row.title, row.author] for row in waiting],
                head=say("变更集 目录 状态 标题 起草人", "set catalogue state title author").split(),
            )
        )


def versions(catalogue: Name, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    from gateway.catalogues.place import open_catalogues

    catalogues = open_catalogues(load_settings(os.environ, file=config, data=data))
    found = catalogues.versions(catalogues.get(catalogue).id)
    if as_json:
        print_json({"versions": [asdict(row) for row in found]})
        return
    print(
        table(
            [[row.number, row.label, row.effective_from, row.effective_to or ""] for row in found],
            head=say("版号 版本 生效 止", "number label from to").split(),
        )
    )


def audit(
    catalogue: Annotated[str | None, typer.Argument(help=say("目录名。", "The catalogue."))] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    from gateway.catalogues.place import open_catalogues

    rows = open_catalogues(load_settings(os.environ, file=config, data=data)).audit(catalogue)
    if as_json:
        print_json({"audit": rows})
        return
    print(
        table(
            [[row["at"], row["who"], row["action"], row["subject"]] for row in rows],
            head=say("时间 办理人 动作 对象", "at who action subject").split(),
        )
    )


def read_table(file: Path, columns: Path | None) -> Table:
    """Read a file with its column map; raises InvalidInput naming what is wrong with either."""
    from terminology.catalogue.load import load_table

    try:
        wanted: dict[str, Any] = tomllib.loads(columns.read_text("utf-8")) if columns else {}
        return load_table(file.name, file.read_bytes(), wanted)
    except OSError as error:
        raise InvalidInput(
            "HT-CLI-19", detail=f"{error.filename}: {error.strerror}", command="terms"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput("HT-CLI-19", detail=f"{columns}: {error}", command="terms") from None


def _load_shipped(settings: Settings, names: list[str]) -> int:
    from gateway.catalogues.first_load import load_some
    from gateway.catalogues.place import open_catalogues, snapshot_folder

    load_some(
        open_catalogues(settings),
        snapshot_folder(settings),
        names,
        progress=lambda title: print(f"· {title}", flush=True),
    )
    print(say("目录已就绪。", "The catalogues are ready."))
    return OK


def _show_problems(checked: "Checked", *, as_json: bool) -> None:
    if as_json:
        if not checked.is_loadable:
            print_json(
                {
                    "problems": [
                        {
                            "code": row.code,
                            "severity": row.severity,
                            "at": row.source,
                            "text": row.text(language()),
                        }
                        for row in checked.problems
                    ]
                }
            )
        return
    for problem in checked.problems[:SHOWN]:
        print(
            styled(
                f"{problem.source or '—'}: {problem.text(language())}",
                "red" if problem.severity == "error" else "yellow",
            )
        )
    if len(checked.problems) > SHOWN:
        print(say(f"… 共 {len(checked.problems)} 处", f"… {len(checked.problems)} in all"))


def _counts(difference: Diff) -> dict[str, int]:
    return {
        name: len(getattr(difference, name)) for name in ("added", "changed", "retired", "reused", "broken")
    }


def _show_diff(difference: Diff, *, as_json: bool) -> int:
    if as_json:
        rows = {
            name: [change.code for change in getattr(difference, name)]
            for name in ("added", "changed", "retired", "reused")
        }
        print_json(
            _counts(difference) | {"codes": rows, "broken_links": [list(pair) for pair in difference.broken]}
        )
        return FINDINGS if difference.reused or difference.broken else OK
    words = (("新增", "added"), ("变更", "changed"), ("停用", "retired"), ("疑似改义", "reused"))
    print(
        table(
            [[say(zh, name), len(getattr(difference, name))] for zh, name in words]
            + [[say("断开的上级", "broken"), len(difference.broken)]]
        )
    )
    for change in (*difference.reused, *difference.changed, *difference.retired)[:SHOWN]:
        before, after = (row.display if row else "—" for row in (change.before, change.after))
        print(f"  {change.code}: {before} → {after}")
    return FINDINGS if difference.reused or difference.broken else OK


def _move(
    number: int, state: Any, who: str, note: str | None, data: Path | None, config: Path | None, as_json: bool
) -> None:
    from gateway.catalogues.place import open_catalogues

    catalogues = open_catalogues(load_settings(os.environ, file=config, data=data))
    _show_step(catalogues.move(number, state, who=who or getuser(), note=note), as_json)


def _show_step(moved: Any, as_json: bool) -> None:
    _show(
        asdict(moved),
        say(f"变更集 {moved.id}：{moved.state}", f"Change set {moved.id}: {moved.state}"),
        as_json,
    )


def _show(value: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        print(text)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidInput("HT-CLI-19", detail=f"{text}: YYYY-MM-DD", command="terms") from None


def _today(settings: Settings) -> date:

    return settings.now().date()
