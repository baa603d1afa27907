"""Seeded faults in the reference member: how many the suite catches, false alarms, and the time of a role's run."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conformance.testing.yaml_test import load_suites
from tests.suites.member import GOOD, ROLES, examine, faults, is_caught


def main() -> int:
    tests = load_suites()
    negative = sum(1 for row in tests if row.is_negative)
    print(f"tests {len(tests)}, negative {negative} ({negative / len(tests):.0%})")
    alarms = 0
    for role in ROLES:
        started = time.perf_counter()
        run = examine(role)
        wrong = [row.id for row in run.results if row.state not in GOOD]
        alarms += len(wrong)
        print(
            f"{role}: {len(run.results)} tests, {time.perf_counter() - started:.2f} s, false alarms {wrong}"
        )
    rows = faults()
    missed = [f"{row.role}: {row.name}" for row in rows if not is_caught(row)]
    caught = len(rows) - len(missed)
    print(f"faults {len(rows)}, caught {caught} ({caught / len(rows):.1%}), missed {missed}")
    return 0 if not alarms and caught / len(rows) >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
