"""Chinese text as people type it: folding for comparison, pinyin and initials, family names.

Two spellings that a reader takes for the same name must fold to the same string: full-width and half-width forms,
upper and lower case, accents, traditional and simplified characters, spaces inside a Chinese name, the middle dots of
minority names (阿不都·热合曼, written with five different dots).
"""

import unicodedata
from functools import cache, lru_cache
from itertools import product
from pathlib import Path

SIMPLIFIED = Path(__file__).with_name("hanzi_simplified.txt")

# Dots that separate the parts of a transcribed name; U+00B7 is the one GB/T 2312 input methods give.
DOTS = dict.fromkeys(map(ord, "•‧∙・･．●⋅‧・"), "·")

COMPOUND_FAMILY_NAMES = frozenset(
    [
        "欧阳",
        "太史",
        "端木",
        "上官",
        "司马",
        "东方",
        "独孤",
        "南宫",
        "万俟",
        "闻人",
        "夏侯",
        "诸葛",
        "尉迟",
        "公羊",
        "赫连",
        "澹台",
        "皇甫",
        "宗政",
        "濮阳",
        "公冶",
        "太叔",
        "申屠",
        "公孙",
        "慕容",
        "仲孙",
        "钟离",
        "长孙",
        "宇文",
        "司徒",
        "鲜于",
        "司空",
        "闾丘",
        "子车",
        "亓官",
        "司寇",
        "巫马",
        "公西",
        "颛孙",
        "壤驷",
        "公良",
        "漆雕",
        "乐正",
        "宰父",
        "谷梁",
        "拓跋",
        "夹谷",
        "轩辕",
        "令狐",
        "段干",
        "百里",
        "呼延",
        "东郭",
        "南门",
        "羊舌",
        "微生",
        "左丘",
        "东门",
        "西门",
        "第五",
    ]
)

# Characters read differently as a family name; the everyday readings stay beside it, people type both.
FAMILY_READINGS = {
    "单": "shan",
    "曾": "zeng",
    "解": "xie",
    "仇": "qiu",
    "查": "zha",
    "区": "ou",
    "朴": "piao",
    "任": "ren",
    "盖": "ge",
    "华": "hua",
    "尉迟": "yuchi",
    "万俟": "moqi",
    "长孙": "zhangsun",
    "澹台": "tantai",
    "秘": "bi",
    "冼": "xian",
    "员": "yun",
    "折": "she",
    "覃": "qin",
    "逄": "pang",
    "缪": "miao",
    "乐": "yue",
    "翟": "zhai",
    "隗": "wei",
    "洗": "xian",
    "祭": "zhai",
    "繁": "po",
    "黑": "he",
    "盛": "sheng",
    "召": "shao",
}

MAX_READINGS = 16
"""Variants kept of one name with several polyphones; what people type is among the first few."""


@cache
def _simplified() -> dict[int, str]:
    lines = SIMPLIFIED.read_text("utf-8").splitlines()
    return {ord(line[0]): line[1] for line in lines if line and line[0] != "#"}


def is_han(character: str) -> bool:
    """Return whether `character` is a Chinese character (all CJK blocks, compatibility forms too)."""
    point = ord(character)
    return (
        0x4E00 <= point <= 0x9FFF
        or 0x3400 <= point <= 0x4DBF
        or 0x20000 <= point <= 0x3FFFF
        or 0xF900 <= point <= 0xFAFF
        or character == "〇"
    )


@lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """Return `text` for comparison: two strings that fold alike are the same to a person.

    Spaces beside a Chinese character vanish, other runs of white space become one space, the ends are stripped.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    text = unicodedata.normalize("NFKD", text).casefold()
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = unicodedata.normalize("NFKC", text).translate(_simplified()).translate(DOTS)
    words = text.split()
    out = words[:1]
    for word in words[1:]:
        glued = is_han(word[0]) or is_han(out[-1][-1]) or "·" in (word[0], out[-1][-1])
        out.append(word if glued else f" {word}")
    return "".join(out)


def split_name(text: str) -> tuple[str, str]:
    """Return family and given name of a written name: 欧阳小明 → (欧阳, 小明), "Wang Xiaoming" → ("Wang", "Xiaoming").

    A name with a middle dot (阿不都·热合曼) has no family name in the Chinese sense: all of it is given.
    """
    text = text.strip()
    packed = "".join(text.split())
    if packed and all(is_han(c) for c in packed):
        parts = text.split()
        if len(parts) == 2 and len(parts[0]) <= 2:
            return parts[0], parts[1]
        length = 2 if len(packed) > 2 and packed[:2] in COMPOUND_FAMILY_NAMES else 1
        return packed[:length], packed[length:]
    if any(dot in text for dot in "·•‧∙・･"):
        return "", text
    family, _, given = text.partition(" ")
    return family, given.strip()


@lru_cache(maxsize=16384)
def readings(character: str) -> tuple[str, ...]:
    """Readings of one character without tones, the usual one first; what is not Chinese reads as itself."""
    if not is_han(character):
        return (character,) if character.isalnum() else ("",)
    from pypinyin import Style, pinyin  # 30 MB of tables, only for those who write Chinese names

    found = pinyin(character, style=Style.NORMAL, heteronym=True, v_to_u=False, errors="ignore")
    return tuple(dict.fromkeys(found[0])) if found else ("",)


def _variants(text: str) -> list[tuple[str, ...]]:
    """Readings of a whole name, one tuple of syllables a variant, the likeliest first."""
    text = "".join(fold(text).split())
    for length in (2, 1):
        head = FAMILY_READINGS.get(text[:length])
        if head is not None and len(text) > length:
            rest = [readings(c) for c in text[length:]]
            ordinary = [readings(c) for c in text[:length]]
            named = [(head, *tail) for tail in product(*rest)]
            # 尉迟 is one reading for two characters; initials still want one letter each.
            if length == 2:
                second = next((r for r in ordinary[1] if head.endswith(r)), "")
                named = [(head.removesuffix(second), second, *tail) for tail in product(*rest)]
            return (named + list(product(*ordinary, *rest)))[:MAX_READINGS]
    found: list[tuple[str, ...]] = []
    for variant in product(*(readings(c) for c in text)):
        found.append(variant)
        if len(found) == MAX_READINGS:
            break
    return found


@lru_cache(maxsize=16384)
def pinyin(text: str) -> tuple[str, ...]:
    """Return the full pinyin of a name without tones and spaces, one string a reading: 单小明 → shanxiaoming, danxiaoming."""
    return tuple(dict.fromkeys("".join(v) for v in _variants(text) if any(v)))


@lru_cache(maxsize=16384)
def initials(text: str) -> tuple[str, ...]:
    """Return the first letters of the pinyin syllables: 张小明 → zxm."""
    return tuple(dict.fromkeys("".join(s[:1] for s in v) for v in _variants(text) if any(v)))
