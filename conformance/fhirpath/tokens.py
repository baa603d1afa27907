"""The words of an expression (https://hl7.org/fhirpath/N1/#lexical-elements)."""

import re
from typing import NamedTuple

from terminology.issues import InvalidInput

WORDS = re.compile(
    r"""
      (?P<space>   (?:\s+ | //[^\n\r]* | /\*(?s:.*?)\*/)+ )
    | (?P<time>    @T[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)? )
    | (?P<dateTime>@[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)?T
                   (?:[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)? )
    | (?P<date>    @[0-9]{4}(?:-[0-9]{2}(?:-[0-9]{2})?)? )
    | (?P<number>  [0-9]+(?:\.[0-9]+)? )
    | (?P<string>  '(?:[^'\\]|\\.)*' )
    | (?P<quoted>  `(?:[^`\\]|\\.)*` )
    | (?P<special> \$(?:this|index|total)\b )
    | (?P<variable>%(?:(?:vs|ext)-[A-Za-z0-9-]+|[A-Za-z_][A-Za-z0-9_]*|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`) )
    | (?P<word>    [A-Za-z_][A-Za-z0-9_]* )
    | (?P<symbol>  <= | >= | != | !~ | [-+*/&|<>=~.,()\[\]{}] )
    """,
    re.VERBOSE | re.DOTALL,
)
ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
CONTROL = {"f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Token(NamedTuple):
    """`kind`: a group name of WORDS or "end"; `text`: strings and quoted names come unescaped; `at` is 1-based."""

    kind: str
    text: str
    at: int


def tokens(expression: str) -> list[Token]:
    """Return the words of an expression, closed by an "end" token. Raises InvalidInput HT-FP-01."""
    found: list[Token] = []
    at = 0
    while at < len(expression):
        match = WORDS.match(expression, at)
        if match is None:
            raise InvalidInput(
                "HT-FP-01", position=at + 1, found=expression[at : at + 20], expected="FHIRPath"
            )
        kind, text = str(match.lastgroup), match.group()
        if kind in ("string", "quoted"):
            text = unescape(text[1:-1])
        elif kind == "variable":
            text = unescape(text[2:-1]) if text[1] in "'`" else text[1:]
        if kind != "space":
            found.append(Token(kind, text, at + 1))
        at = match.end()
    found.append(Token("end", "", len(expression) + 1))
    return found


def unescape(text: str) -> str:
    """Return the text of a string or quoted name; a backslash before any other character is dropped."""
    if "\\" not in text:
        return text
    found = ESCAPE.sub(
        lambda match: chr(int(match[1], 16)) if match[1] else CONTROL.get(match[2], match[2]), text
    )
    # Two \u escapes may be the halves of one character; a half alone becomes the replacement character.
    return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
