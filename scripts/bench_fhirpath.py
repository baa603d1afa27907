"""Measure FHIRPath: seven typical invariants on the official Patient example, and the cost of compiling.

Run as `scripts/bench fhirpath [--seconds N]`. Prints evaluations a second of one core.
"""

import argparse
import time
from pathlib import Path

from conformance import definitions
from conformance.fhirpath import Expression, compile
from terminology.fhirjson import decode_resource

ROOT = Path(__file__).parent.parent
PATIENT = ROOT / "tests" / "data" / "fhirpath" / "patient-example.json"

INVARIANTS = {
    "dom-2": "contained.contained.empty()",
    "dom-4": "contained.meta.versionId.empty() and contained.meta.lastUpdated.empty()",
    "dom-6": "text.`div`.exists()",
    "ext-1": "Patient.descendants().ofType(Extension).all(extension.exists() != value.exists())",
    "pat-1": "contact.all(name.exists() or telecom.exists() or address.exists() or organization.exists())",
    "per-1": "identifier.period.all(start.hasValue().not() or end.hasValue().not() or (start <= end))",
    "names": "name.where(use = 'official').given.first() = 'Peter'",
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=1.0, help="time for each expression")
    seconds = arguments.parse_args().seconds
    patient = decode_resource(PATIENT.read_bytes())
    total = 0.0
    for name, text in INVARIANTS.items():
        expression = compile(text, "Patient")
        rate = evaluations(expression, patient, seconds)
        total += 1 / rate
        print(f"{name:8} {rate:12,.0f} /s   {text}")
    print(f"{'all 7':8} {len(INVARIANTS) / total:12,.0f} /s   (evaluations a second over the seven)")
    started = time.perf_counter()
    texts = {row.expression for row in definitions.constraints() if row.expression}
    for text in texts:
        Expression(text)
    print(f"parse {len(texts)} invariants: {(time.perf_counter() - started) * 1000:.0f} ms")


def evaluations(expression: Expression, resource: dict[str, object], seconds: float) -> float:
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        for _ in range(200):
            expression(resource)
        count += 200
    return count / passed


if __name__ == "__main__":
    main()
