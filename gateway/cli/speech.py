"""How the command line speaks: the language of the locale, tables and JSON, no colour when piped."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unicodedata import east_asian_width

from terminology.issues import FhirError, Language

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def language(environment: Mapping[str, str] | None = None) -> Language:
    """Return the language of the locale: HUTONG_LANG, then LC_ALL, LC_MESSAGES, LANG; English for other locales."""
    environment = os.environ if environment is None else environment
    for name in ("HUTONG_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = environment.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def say(zh: str, en: str) -> str:
    return zh if language() == "zh" else en


def styled(text: str, style: str) -> str:
    """Return `text` with a colour on a terminal, plain when piped or when NO_COLOR is set (https://no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m"


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def show_error(error: FhirError, *, as_json: bool | None = None) -> None:
    """Say on standard error what was wrong and how to fix it; as JSON when the command was asked for JSON."""
    lang = language()
    if as_json if as_json is not None else "--json" in sys.argv:
        rows = [
            {"code": issue.code, "text": issue.text(lang), "fix": issue.fix(lang)} for issue in error.issues
        ]
        print(json.dumps({"errors": rows}, ensure_ascii=False, indent=2), file=sys.stderr)
        return
    for issue in error.issues:
        print(f"{issue.code} {issue.text(lang)}\n  → {issue.fix(lang)}", file=sys.stderr)


def table(rows: Iterable[Sequence[Any]], *, head: Sequence[str] = ()) -> str:
    """Return rows as columns; a Chinese character takes two cells."""
    cells = [[str(cell) for cell in row] for row in rows]
    everything = [list(head), *cells] if head else cells
    if not everything:
        return ""
    widths = [max(width(row[column]) for row in everything) for column in range(len(everything[0]))]
    lines = [
        "  ".join(pad(cell, size) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in everything
    ]
    if head:
        lines[0] = styled(lines[0], "dim")
    return "\n".join(lines)


def width(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def pad(text: str, size: int) -> str:
    return text + " " * (size - width(text))


def cut(text: str, size: int) -> str:
    """Return `text` in at most `size` cells."""
    if width(text) <= size:
        return text
    kept = ""
    for character in text:
        if width(kept) + width(character) > size - 1:
            break
        kept += character
    return kept + "…"
