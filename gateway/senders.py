"""What is known of each sender: a YAML file of the site, by "application|facility" with `*` (docs/adapters/hl7v3.md).

`facility`: namespace of its ids; `zone`: of its times without offset; `charset`: tried last; `systems`: what its private
OIDs, assigning authorities and coding systems mean, a URI or a kind of identifier ("resident", "health-card" …).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from terminology.issues import InvalidInput, Issue

if TYPE_CHECKING:
    from mappings.language.converters import Sender

KEYS = {"facility": "facility", "zone": "zone", "charset": "fallback_charset", "systems": "systems"}
LARGEST = 1_000_000


def load_senders(path: Path, default: "Sender") -> dict[str, "Sender"]:
    """Return the senders of a file, what they leave out from `default`; raises InvalidInput (HT-MAP-60) with all problems."""
    import yaml

    try:
        text = path.read_text("utf-8")
        tree = yaml.safe_load(text) if len(text) <= LARGEST else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput("HT-MAP-60", place=path.name, reason=str(error).split("\n")[0]) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InvalidInput("HT-MAP-60", place=path.name, reason="not a mapping of senders")
    issues: list[Issue] = []
    made = {
        str(pattern): _sender(str(pattern), row, default, path.name, issues) for pattern, row in tree.items()
    }
    if issues:
        raise InvalidInput(issues)
    return made


def _sender(pattern: str, row: Any, default: "Sender", file: str, issues: list[Issue]) -> "Sender":
    from mappings.identifiers.kinds import KINDS

    def wrong(reason: str) -> None:
        issues.append(Issue("HT-MAP-60", {"place": f"{file}: {pattern}", "reason": reason}))

    if not isinstance(row, Mapping):
        wrong("not a mapping")
        return default
    values: dict[str, Any] = {"name": pattern}
    for key, value in row.items():
        if key not in KEYS:
            wrong(f"unknown key {key}; known: {', '.join(KEYS)}")
        elif key == "systems":
            systems = value if isinstance(value, Mapping) else {}
            values["systems"] = {
                **default.systems,
                **{str(root): str(means) for root, means in systems.items()},
            }
            for root, means in values["systems"].items():
                if means not in KINDS and ":" not in means:
                    wrong(f"{root}: {means} is neither a URI nor one of {', '.join(KINDS)}")
        else:
            values[KEYS[key]] = str(value)
    try:
        ZoneInfo(values.get("zone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        wrong(f"unknown zone {values['zone']}")
    return replace(default, **values)
