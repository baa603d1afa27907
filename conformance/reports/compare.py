"""Two runs side by side: what got better, what got worse, what is new or gone."""

from terminology.fhirjson import Json


def compare(before: Json, after: Json) -> Json:
    """Return the differences of two run documents by test id; `worse` counts what passed and no longer does."""
    old = {row["id"]: row for row in before["results"]}
    new = {row["id"]: row for row in after["results"]}
    good = ("pass", "attested", "waived", "not-applicable")
    changed = [
        {
            "id": id,
            "zh": new[id]["zh"],
            "en": new[id]["en"],
            "before": old[id]["state"],
            "after": new[id]["state"],
        }
        for id in new
        if id in old and new[id]["state"] != old[id]["state"]
    ]
    return {
        "before": before["id"],
        "after": after["id"],
        "same_suite": before["suite_hash"] == after["suite_hash"],
        "worse": [row for row in changed if row["before"] in good and row["after"] not in good],
        "better": [row for row in changed if row["before"] not in good and row["after"] in good],
        "other": [row for row in changed if (row["before"] in good) == (row["after"] in good)],
        "added": sorted(set(new) - set(old)),
        "removed": sorted(set(old) - set(new)),
    }
