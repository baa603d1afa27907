"""The sentences of the terminology ecosystem, looked up by message id (`messages.toml`)."""

import tomllib
from functools import cache
from pathlib import Path

from terminology.issues import Language


def message(message_id: str, language: Language, *values: object) -> str:
    """Return the sentence of an id with its blanks filled; KeyError when nobody worded it."""
    texts = ["" if value is None else str(value) for value in values]
    return _catalogue()[message_id][language].format(*texts, *[""] * 6)


@cache
def _catalogue() -> dict[str, dict[str, str]]:
    with Path(__file__).with_name("messages.toml").open("rb") as file:
        return tomllib.load(file)
