"""Which column of a member's table is what: the column map of an import.

A map is TOML: `code`, `display`, `parent`, `definition`, `status`, `names`, `spellings` and `[properties]` name columns
by their heading (any of several) or by their number from 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from terminology import hanzi
from terminology.issues import InvalidInput

# Headings met in Chinese tables, so that most files need no map at all. Keys are the parts of a row.
KNOWN_HEADINGS: dict[str, tuple[str, ...]] = {
    "code": (
        "code",
        "编码",
        "代码",
        "诊断编码",
        "诊断代码",
        "项目编码",
        "项目代码",
        "药品编码",
        "药品代码",
        "疾病编码",
        "手术编码",
        "主要编码",
        "icd编码",
        "bm",
        "zdbm",
        "xmbm",
        "ypbm",
    ),
    "display": (
        "display",
        "name",
        "名称",
        "诊断名称",
        "项目名称",
        "药品名称",
        "疾病名称",
        "手术名称",
        "通用名",
        "通用名称",
        "中文名称",
        "mc",
        "zdmc",
        "xmmc",
        "ypmc",
        "name_zh",
    ),
    "parent": ("parent", "上级编码", "上级代码", "父级编码", "parent_code", "sjbm"),
    "definition": ("definition", "定义", "说明"),
    "status": ("status", "状态", "有效标志", "停用标志", "是否有效"),
    "names": ("别名", "同义词", "俗名", "商品名", "英文名称", "alias", "synonym", "name_en"),
    "spellings": ("拼音码", "五笔码", "输入码", "助记码", "pym", "wbm", "srm", "pinyin"),
}

INACTIVE = frozenset({"0", "停用", "无效", "作废", "inactive", "retired", "n", "否", "false", "废止"})


@dataclass(frozen=True, slots=True)
class Columns:
    """Positions (from 0) of each part in the rows of one file. `properties`: property code → position."""

    code: int
    display: int
    parent: int | None = None
    definition: int | None = None
    status: int | None = None
    names: tuple[int, ...] = ()
    spellings: tuple[int, ...] = ()
    properties: Mapping[str, int] = field(default_factory=dict)


def match(headings: Sequence[str], wanted: Mapping[str, Any] | None = None) -> Columns:
    """Return where the parts stand in a file with these headings.

    `wanted` is a column map; what it leaves out is found by known headings, and every column left over becomes a
    property under its own heading. Raises InvalidInput HT-CAT-01 when code or name cannot be found, HT-CAT-02 when the
    map names a column that the file does not have.
    """
    wanted = dict(wanted or {})
    _check(wanted, headings)
    folded = [hanzi.fold(heading) for heading in headings]
    taken: set[int] = set()

    def one(part: str) -> int | None:
        found = _positions(wanted.get(part, KNOWN_HEADINGS[part]), folded, headings, is_map=part in wanted)
        at = next((at for at in found if at not in taken), None)
        if at is not None:
            taken.add(at)
        return at

    def several(part: str) -> tuple[int, ...]:
        found = [
            at
            for at in _positions(
                wanted.get(part, KNOWN_HEADINGS[part]), folded, headings, is_map=part in wanted
            )
            if at not in taken
        ]
        taken.update(found)
        return tuple(found)

    code, display = one("code"), one("display")
    if code is None or display is None:
        missing = "code" if code is None else "display"
        raise InvalidInput("HT-CAT-01", part=missing, headings=", ".join(headings[:40]))
    parts = {part: one(part) for part in ("parent", "definition", "status")}
    names, spellings = several("names"), several("spellings")
    properties: dict[str, int] = {}
    for name, heading in wanted.get("properties", {}).items():
        at = next(iter(_positions(heading, folded, headings, is_map=True)), None)
        if at is not None:
            properties[name] = at
            taken.add(at)
    if wanted.get("keep_others", True):
        properties |= {
            headings[at].strip(): at
            for at in range(len(headings))
            if at not in taken and headings[at].strip()
        }
    return Columns(
        code, display, parts["parent"], parts["definition"], parts["status"], names, spellings, properties
    )


def _check(wanted: Mapping[str, Any], headings: Sequence[str]) -> None:
    """Raise InvalidInput HT-CAT-02 for a part of a column map that names no column."""
    properties = wanted.get("properties", {})
    named = [(part, wanted[part]) for part in KNOWN_HEADINGS if part in wanted]
    named += properties.items() if isinstance(properties, dict) else [("properties", None)]
    for part, names in named:
        listed = names if isinstance(names, list) else [names]
        if not all(isinstance(name, (str, int)) and not isinstance(name, bool) for name in listed):
            shown = ", ".join(headings[:40])
            raise InvalidInput("HT-CAT-02", column=f"{part} = {str(names)[:40]}", headings=shown)


def _positions(names: Any, folded: Sequence[str], headings: Sequence[str], *, is_map: bool) -> list[int]:
    found = []
    for name in names if isinstance(names, (list, tuple)) else [names]:
        if isinstance(name, int):
            if not 1 <= name <= len(headings):
                raise InvalidInput("HT-CAT-02", column=name, headings=", ".join(headings[:40]))
            found.append(name - 1)
        elif hanzi.fold(str(name)) in folded:
            found.append(folded.index(hanzi.fold(str(name))))
        elif is_map:
            raise InvalidInput("HT-CAT-02", column=name, headings=", ".join(headings[:40]))
    return found
