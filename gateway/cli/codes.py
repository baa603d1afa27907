"""`hutong codes …`: map a member's local codes to the catalogues."""

import os
import sys
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from gateway.cli import FINDINGS, OK
from gateway.cli.client import call_json
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import cut, language, print_json, say, styled, table
from gateway.cli.terms import read_table
from gateway.cli.terms_options import (
    Blind,
    Catalogue,
    Code,
    Codes,
    Columns,
    Count,
    Cut,
    Domain,
    LocalFile,
    MapFormat,
    Member,
    Note,
    Output,
    Relationship,
    Source,
    Target,
    Who,
)
from gateway.settings import load_settings
from gateway.workbench.desk import Desk
from gateway.workbench.projects import Project
from gateway.workbench.state import NAMES
from terminology.fhirjson import encode_pretty
from terminology.issues import InvalidInput, Unavailable


def import_table(
    member: Member,
    domain: Domain,
    file: LocalFile,
    catalogue: Catalogue,
    columns: Columns = None,
    blind: Blind = False,
    source: Source = None,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    desk = _desk(data, config)
    project, new, changed = desk.open(
        member,
        domain,
        read_table(file, columns),
        catalogue=catalogue,
        who=who or getuser(),
        is_blind=blind,
        source=source,
    )
    return _tell(
        {"new": new, "changed": changed, **desk.projects.counts(project)},
        say(f"新增 {new} 行，名称变更 {changed} 行。", f"{new} new rows, {changed} renamed."),
        as_json,
    )


def list_projects(data: Data = None, config: Config = None, as_json: AsJson = False) -> int:
    desk = _desk(data, config)
    rows = [
        {
            "member": project.member,
            "domain": project.domain,
            "catalogue": project.catalogue,
            "version": project.version,
            **desk.projects.counts(project),
        }
        for project in desk.projects.all()
    ]
    if as_json:
        print_json({"projects": rows})
        return OK
    states = list(NAMES)
    print(
        table(
            [
                [row["member"], row["domain"], row["catalogue"], *(row.get(state, 0) for state in states)]
                for row in rows
            ],
            head=[
                *say("单位 术语域 目录", "member domain catalogue").split(),
                *(say(NAMES[state], state) for state in states),
            ],
        )
    )
    return OK


def suggest(
    member: Member,
    domain: Domain,
    code: Annotated[str | None, typer.Option(help=say("只看此本地编码。", "Only this local code."))] = None,
    count: Count = 50,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    desk = _desk(data, config)
    project = desk.projects.get(member, domain)
    rows = (
        [desk.projects.row(project, code)]
        if code
        else desk.projects.rows(project, ("unmapped", "stale", "rejected"), limit=count)
    )
    found = [(row, desk.suggest(project, row)) for row in rows]
    if as_json:
        print_json(
            {
                "rows": [
                    {
                        "code": row.local.code,
                        "name": row.local.name,
                        "suggestions": [_shown(one) for one in suggestions],
                    }
                    for row, suggestions in found
                ]
            }
        )
        return OK
    for row, suggestions in found:
        print(styled(f"{row.local.code}  {row.local.name} {row.local.strength}".rstrip(), "bold"))
        print(
            table(
                [
                    [
                        "  ",
                        f"{one.confidence:.2f}",
                        one.target.code,
                        cut(one.target.display, 40),
                        ", ".join(one.reasons),
                        ", ".join(f"✗{veto}" for veto in one.vetoes),
                    ]
                    for one in suggestions
                ]
            )
        )
    return OK


def accept(
    member: Member,
    domain: Domain,
    cut: Cut = 0.9,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    desk = _desk(data, config)
    accepted = desk.accept_above(desk.projects.get(member, domain), cut, who=who or getuser())
    return _tell(
        {"accepted": [list(row) for row in accepted]},
        say(f"已提交 {len(accepted)} 行待审。", f"{len(accepted)} rows wait for review."),
        as_json,
    )


def propose(
    member: Member,
    domain: Domain,
    code: Code,
    target: Target = None,
    relationship: Relationship = "equivalent",
    note: Note = None,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    desk = _desk(data, config)
    state = desk.propose(
        desk.projects.get(member, domain),
        code,
        target=target,
        who=who or getuser(),
        relationship=relationship,
        note=note,
    )
    return _tell({"code": code, "state": state}, f"{code}: {say(NAMES[state], state)}", as_json)


def approve(
    member: Member,
    domain: Domain,
    codes: Codes = None,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    return _review(member, domain, codes, None, who, data, config, approve=True, as_json=as_json)


def reject(
    member: Member,
    domain: Domain,
    codes: Codes = None,
    note: Note = None,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    return _review(member, domain, codes, note, who, data, config, approve=False, as_json=as_json)


def reconcile(
    member: Member,
    domain: Domain,
    code: Code,
    target: Target = None,
    relationship: Relationship = "equivalent",
    note: Note = None,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    desk = _desk(data, config)
    state = desk.reconcile(
        desk.projects.get(member, domain),
        code,
        target=target,
        who=who or getuser(),
        relationship=relationship,
        note=note,
    )
    return _tell({"code": code, "state": state}, f"{code}: {say(NAMES[state], state)}", as_json)


def carry_over(
    member: Member,
    domain: Domain,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    desk = _desk(data, config)
    stale = desk.carry_over(desk.projects.get(member, domain), who=who or getuser())
    _tell(
        {"stale": stale},
        say(f"{len(stale)} 行的目标已变，需重新对码。", f"{len(stale)} rows are stale."),
        as_json,
    )
    return FINDINGS if stale else OK


def export(
    member: Member,
    domain: Domain,
    format: MapFormat = "csv",
    output: Output = None,
    data: Data = None,
    config: Config = None,
) -> int:
    desk = _desk(data, config)
    project = desk.projects.get(member, domain)
    if format == "xlsx":
        if output is None:
            raise InvalidInput("HT-CLI-19", detail="--format xlsx --output FILE.xlsx", command="codes export")
        output.write_bytes(desk.export_xlsx(project))
    elif format not in ("csv", "json"):
        raise InvalidInput("HT-CLI-19", detail=f"--format {format}: csv json xlsx", command="codes export")
    elif output is not None:
        found = (
            encode_pretty(desk.concept_map(project)) if format == "json" else desk.export(project).encode()
        )
        output.write_bytes(found)
    elif format == "json":
        print_json(desk.concept_map(project))
    else:
        print(desk.export(project), end="")
    return OK


def publish(
    member: Member,
    domain: Domain,
    who: Who = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """The running gateway publishes: it owns the FHIR store and translates messages from that moment on."""
    from gateway.lock import holder

    settings = load_settings(os.environ, file=config, data=data)
    url = str((holder(settings.data) or {}).get("url", ""))
    if not url:
        raise Unavailable("HT-CLI-20", command="codes publish")
    path = f"/codes/{quote(member, safe='')}/{quote(domain, safe='')}/publish?{urlencode({'who': who or getuser()})}"
    status, answer = call_json(url, path, body=b"", method="POST")
    if status != 201:
        print(answer["issue"][0]["details"]["text"], file=sys.stderr)
        return FINDINGS
    count = sum(len(group["element"]) for group in answer["group"])
    return _tell(
        answer,
        say(
            f"已发布 {answer['url']}|{answer['version']}，{count} 个编码，即刻用于消息转换。",
            f"Published {answer['url']}|{answer['version']}: {count} codes, used for messages from now on.",
        ),
        as_json,
    )


def _review(
    member: str,
    domain: str,
    codes: list[str] | None,
    note: str | None,
    who: str,
    data: Path | None,
    config: Path | None,
    *,
    approve: bool,
    as_json: bool,
) -> int:
    desk = _desk(data, config)
    project = desk.projects.get(member, domain)
    wanted = codes or [row.local.code for row in desk.projects.rows(project, ("submitted",))]
    reviewed, refused = desk.review_all(project, wanted, who=who or getuser(), approve=approve, note=note)
    if refused and not reviewed:
        raise refused[0][1]
    shown = [{"code": code, "text": error.issues[0].text(language())} for code, error in refused]
    _tell(
        {"reviewed": reviewed, "refused": shown, **_counts(desk, project)},
        say(
            f"{len(reviewed)} 行{'已审' if approve else '已驳回'}。",
            f"{len(reviewed)} rows {'approved' if approve else 'rejected'}.",
        ),
        as_json,
    )
    if not as_json:
        for row in shown:
            print(f"  {row['code']}: {row['text']}")
    return FINDINGS if refused else OK


def _counts(desk: Desk, project: Project) -> dict[str, int]:
    return desk.projects.counts(project)


def _desk(data: Path | None, config: Path | None) -> Desk:
    from gateway.catalogues.place import open_desk

    return open_desk(load_settings(os.environ, file=config, data=data))


def _shown(one: Any) -> dict[str, Any]:
    return {
        "code": one.target.code,
        "display": one.target.display,
        "confidence": one.confidence,
        "relationship": one.relationship,
        "reasons": list(one.reasons),
        "vetoes": list(one.vetoes),
    }


def _tell(value: dict[str, Any], text: str, as_json: bool) -> int:
    if as_json:
        print_json(value)
    else:
        print(text)
    return OK
