"""Signs in a name that must not change under a mapping: side, type, degree, negation, number.

「左肾结石」 is not 「右肾结石」, 「1型糖尿病」 not 「2型糖尿病」; a shared word count cannot see that.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from terminology import hanzi

_SIDES = (
    ("双侧", "双"),
    ("两侧", "双"),
    ("左侧", "左"),
    ("右侧", "右"),
    ("双", "双"),
    ("左", "左"),
    ("右", "右"),
)
_CHINESE_NUMBERS = str.maketrans("一二三四五六七八九", "123456789")
_TYPE = re.compile(r"(ⅰ|ⅱ|ⅲ|ⅳ|iii|ii|iv|i|\d)\s*(?:型|级|度|期|类)")
_ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4"}
_DEGREE = re.compile(r"重度|中度|轻度|急性|慢性|亚急性|良性|恶性|原发性|继发性|先天性|妊娠|新生儿")
_NOT = re.compile(r"(?<!除)非|无(?!名|菌|力)|不伴|未")
_RESULT = re.compile(r"\(([+-])\)|(阳性|阴性)")
_OPPOSITES = ({"急性", "慢性", "亚急性"}, {"良性", "恶性"}, {"原发性", "继发性"}, {"轻度", "中度", "重度"})


@dataclass(frozen=True, slots=True)
class Signs:
    side: str
    types: frozenset[str]
    degrees: frozenset[str]
    is_negated: bool
    result: str


@lru_cache(maxsize=65536)
def signs(name: str) -> Signs:
    folded = hanzi.fold(name).translate(_CHINESE_NUMBERS)
    side = next(
        (mark for word, mark in _SIDES if word in folded and not _is_part_of_a_word(folded, word)), ""
    )
    types = frozenset(_ROMAN.get(found, found) for found in _TYPE.findall(folded))
    result = _RESULT.search(folded)
    return Signs(
        side,
        types,
        frozenset(_DEGREE.findall(folded)),
        bool(_NOT.search(folded)),
        {"+": "阳性", "-": "阴性"}.get(result[1], result[2]) if result else "",
    )


def _is_part_of_a_word(text: str, side: str) -> bool:
    """左旋 and 右美沙芬 name molecules, 双相 a disorder: no sides of a body."""
    return (
        any(
            word in text
            for word in (
                "左旋",
                "右旋",
                "左甲",
                "左氧",
                "左炔",
                "右美",
                "右佐",
                "双相",
                "双氯",
                "双歧",
                "双胍",
                "双嘧",
            )
        )
        and len(side) == 1
    )


def clashes(local: str, target: str) -> list[str]:
    """Return what contradicts between two names ("side", "type", "result", "degree"); what only one of them says does not."""
    a, b = signs(local), signs(target)
    found = []
    if a.side and b.side and a.side != b.side:
        found.append("side")
    if a.types and b.types and a.types != b.types:
        found.append("type")
    if a.result and b.result and a.result != b.result:
        found.append("result")
    if any(
        (a.degrees & group) and (b.degrees & group) and a.degrees & group != b.degrees & group
        for group in _OPPOSITES
    ):
        found.append("degree")
    return found


def gaps(local: str, target: str) -> int:
    """Return how many signs one of the names has and the other has not."""
    a, b = signs(local), signs(target)
    return (
        (a.side != b.side)
        + len(a.types ^ b.types)
        + len(a.degrees ^ b.degrees)
        + (a.is_negated != b.is_negated)
    )
