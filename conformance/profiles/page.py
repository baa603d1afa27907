"""The implementation guide: a page for each profile, one for the extensions, one for the codes, in Chinese and English."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from conformance.profiles.build import BASE, VERSION, canonical
from conformance.profiles.codes import code_table
from conformance.profiles.extensions import extension_table
from conformance.profiles.table import Row, Table
from terminology.fhirjson import Json, encode

_HEAD = "<!-- Written by scripts/build_profile_docs from conformance/profiles and tests/data/profiles; do not edit. -->"
_R4 = "https://hl7.org/fhir/R4/"
_REFERENCE = re.compile(r"(Reference|Extension)\((.*)\)")


@dataclass(frozen=True)
class Refused:
    """One broken example: what is wrong, the change, and what is answered."""

    name: str
    change: Json
    rule: str
    at: str
    severity: str


def profile_page(table: Table, example: Json, refused: Iterable[Refused]) -> str:
    """Return the page of a profile: elements, rules, a valid example and what is refused."""
    url = f"{BASE}StructureDefinition/{table.id}"
    base = canonical(table.base) if table.base else f"[{table.type}]({_R4}{table.type.lower()}.html)"
    lines = [
        _HEAD,
        f"# {table.zh} · {table.en}",
        "",
        table.about_zh,
        "",
        table.about_en,
        "",
        "| | |",
        "|---|---|",
        f"| URL | `{url}` |",
        f"| 版本 version | {VERSION} |",
        f"| 基础 base | {base} |",
        f"| 校验 validate | `hutong validate --profile {url} FILE` · `POST /fhir/{table.type}/$validate?profile={url}` |",
        f"| 定义 definition | `GET /fhir/StructureDefinition/{table.id}` |",
        "",
        "## 元素 Elements",
        "",
        "空的基数与 FHIR 相同。Where the cardinality is empty, FHIR's own holds.",
        "",
        "| 元素 element | 基数 card. | 类型、绑定、固定值 type, binding, value | 说明 | meaning | 依据 source |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_element(row) for row in table.rows]
    if table.invariants:
        lines += [
            "",
            "## 规则 Rules",
            "",
            "| 编号 key | 位置 at | 级别 severity | 规则 | rule | FHIRPath |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {one.key} | `{_path(table, one.at)}` | {one.severity} | {_cell(one.zh)} | {_cell(one.en)} | `{_cell(one.expression)}` |"
            for one in table.invariants
        ]
    lines += [
        "",
        "## 例 Example",
        "",
        "```json",
        msgspec.json.format(encode(example), indent=2).decode(),
        "```",
    ]
    rows = list(refused)
    if rows:
        lines += [
            "",
            "## 会被指出的错误 What is refused",
            "",
            "对上例作一处改动,`null` 表示删去。Each row changes the example above; `null` removes.",
            "",
            "| 情形 case | 改动 change | 结果 answer | 位置 expression |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {_cell(row.name)} | `{_cell(json.dumps(row.change, ensure_ascii=False))}` | {row.severity} {row.rule} | `{row.at}` |"
            for row in rows
        ]
    return "\n".join(lines) + "\n"


def _path(table: Table, at: str) -> str:
    return f"{table.type}.{at}" if at else table.type


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _element(row: Row) -> str:
    rules = "<br>".join(_rule(rule) for rule in row.rules)
    return (
        f"| `{row.path}` | {row.card} | {rules} | {_cell(row.zh)} | {_cell(row.en)} | {_cell(row.source)} |"
    )


def _rule(rule: str) -> str:
    word, _, rest = rule.partition(" ")
    if word in ("required", "extensible", "preferred", "example"):
        return f"{word}: {_value_set(rest)}"
    if word == "slice":
        return f"切片 slices by {rest}"
    found = _REFERENCE.fullmatch(rule)
    if found is not None:
        names = ", ".join(_profile(name.strip()) for name in found[2].split(","))
        return f"{found[1]}({names})"
    return f"`{_cell(rule)}`"


def _value_set(name: str) -> str:
    return f"[{name}](codes.md#{name})" if name in code_table() else f"`{name}`"


def _profile(name: str) -> str:
    if name in extension_table():
        return f"[{name}](extensions.md#{name})"
    return f"[{name}]({name}.md)" if name.startswith("hutong-") else name.rpartition("/")[2]


def extensions_page() -> str:
    """Return the page of all extensions."""
    lines = [
        _HEAD,
        "# 扩展 Extensions",
        "",
        f"URL: `{BASE}StructureDefinition/` 加名称 and the name.",
        "",
        "| 名称 name | 可用于 on | 值 value | 说明 | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, row in extension_table().items():
        value = _value_of(row["value"]) if "value" in row else _parts(row["parts"])
        most = "(可重复 repeats)" if row.get("max") == "*" else ""
        lines.append(
            f'| <a id="{name}"></a>`{name}` | {row["at"]} | {value}{most} | {row["zh"]} | {row["en"]} |'
        )
    return "\n".join(lines) + "\n"


def _parts(parts: dict[str, str]) -> str:
    rows = []
    for name, text in parts.items():
        card, _, rest = text.partition(" ")
        rows.append(f"`{name}` {card} {_value_of(rest)}")
    return "<br>".join(rows)


def _value_of(text: str) -> str:
    return "; ".join(_rule(rule.strip()).strip("`") for rule in text.split(";"))


def codes_page() -> str:
    """Return the page of all code systems and value sets."""
    lines = [
        _HEAD,
        "# 代码 Codes",
        "",
        f"代码系统 code system: `{BASE}CodeSystem/` · 值集 value set: `{BASE}ValueSet/` 加名称 and the name.",
    ]
    for name, row in code_table().items():
        lines += ["", f'<a id="{name}"></a>', f"## {name} {row['zh']} · {row['en']}", ""]
        for system, codes in row.get("include", {}).items():
            label = f"[{system}](#{system})" if system in code_table() else f"`{system}`"
            lines.append(f"- {label}: {', '.join(f'`{code}`' for code in codes) or '全部 all'}")
        if "codes" in row:
            lines += ["| 代码 code | 含义 | meaning |", "|---|---|---|"]
            lines += [
                f"| `{code}` | {words.partition(' / ')[0]} | {words.partition(' / ')[2]} |"
                for code, words in row["codes"].items()
            ]
    return "\n".join(lines) + "\n"


def index_page(tables: Iterable[Table]) -> str:
    """Return the first page: what there is and how it is used."""
    lines = [
        _HEAD,
        "# 县域 profile · County profiles",
        "",
        f"规范地址 canonical base: `{BASE}`。这些定义内置于程序,不需加载;以相同 URL 上传的定义优先。",
        "The definitions are built in and need not be loaded; one that is posted under the same URL comes before.",
        "",
        "```sh",
        f"hutong validate --profile {BASE}StructureDefinition/hutong-patient patient.json",
        f"curl -X POST 'http://127.0.0.1:8000/fhir/Patient/$validate?profile={BASE}StructureDefinition/hutong-patient' \\",
        "  -H 'Content-Type: application/fhir+json' --data-binary @patient.json",
        "curl 'http://127.0.0.1:8000/fhir/StructureDefinition?type=DiagnosticReport'",
        "```",
        "",
        "引用只核对资源类型;被引用的资源按自己的 profile 校验。",
        "References are held to the type of their target; the target is validated against its own profile.",
        "",
        "| profile | 资源 resource | 名称 | title |",
        "|---|---|---|---|",
    ]
    lines += [f"| [{row.id}]({row.id}.md) | {row.type} | {row.zh} | {row.en} |" for row in tables]
    lines += [
        "",
        "[扩展 Extensions](extensions.md) · [代码 Codes](codes.md)",
    ]
    return "\n".join(lines) + "\n"
