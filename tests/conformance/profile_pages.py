"""The pages of docs/profiles by name, with the examples that the tests prove."""

from profile_cases import FOLDER, all_ids, example

from conformance.profiles.page import Refused, codes_page, extensions_page, index_page, profile_page
from conformance.profiles.table import load_table, load_yaml


def pages() -> dict[str, str]:
    found = {
        f"{identity}.md": profile_page(load_table(identity), example(identity), refused(identity))
        for identity in all_ids()
    }
    found["README.md"] = index_page(load_table(identity) for identity in all_ids())
    found["extensions.md"] = extensions_page()
    found["codes.md"] = codes_page()
    return found


def refused(identity: str) -> list[Refused]:
    return [
        Refused(
            row["case"],
            row.get("set") or {path: f"… × {count}" for path, (count, _) in row["repeat"].items()},
            f"HT-VAL-30 {row['key']}" if "key" in row else row.get("code", "").rstrip("-"),
            row["at"],
            row.get("severity", "error"),
        )
        for row in load_yaml(FOLDER / f"{identity}.yaml")["cases"]
    ]
