"""Measure the validator: resources a second, agreement with the public cases, start and memory.

Run as `scripts/bench validate [--seconds N]`. fhir.resources (R4B models) stands beside it when it is installed. Each
figure is the best of several rounds on one core, bytes in, issues out.
"""

import argparse
import gc
import resource as usage
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests" / "suites"))

COLD = """
import time, resource
started = time.perf_counter()
from conformance.validation import validate
issues = validate(open({file!r}, "rb").read())
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(issues))
"""
PATIENT = ROOT / "tests" / "data" / "validator" / "bench-patient.json"
OBSERVATION = ROOT / "tests" / "data" / "validator" / "bench-observation.json"
BARS = {
    "Patient": (2_000, 10_000),
    "Observation": (4_000, 20_000),
    "Bundle of 100": (40, 150),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=1.5, help="time for each figure")
    seconds = arguments.parse_args().seconds
    from conformance.validation import validate
    from terminology.fhirjson import decode_resource, encode

    patient, observation = decode_resource(PATIENT.read_bytes()), decode_resource(OBSERVATION.read_bytes())
    entries = [
        {
            "fullUrl": f"http://example.org/fhir/{row['resourceType']}/{number}",
            "resource": {**row, "id": str(number)},
        }
        for number in range(50)
        for row in (patient, observation)
    ]
    samples = {
        "Patient": encode(patient),
        "Observation": encode(observation),
        "Bundle of 100": encode({"resourceType": "Bundle", "type": "collection", "entry": entries}),
    }
    for body in samples.values():
        assert not [row for row in validate(body) if row.severity == "error"]
        for _ in range(30):
            validate(body, level="structure")
    # What a server does once it is warm: what stays is taken out of the collector's rounds.
    gc.collect()
    gc.freeze()
    print(
        f"{'resources a second':22} {'bytes':>8} {'full rules':>12} {'bar':>8} {'structure':>12} {'bar':>8} {'fhir.resources':>15}"
    )
    for name, body in samples.items():
        full = rate(lambda body=body: validate(body), seconds)  # type: ignore[misc]  # bound in the loop
        structure = rate(lambda body=body: validate(body, level="structure"), seconds)  # type: ignore[misc]
        other = peer(body, seconds)
        bars = BARS[name]
        print(
            f"{name:22} {len(body):8,} {full:12,.0f} {bars[0]:8,} {structure:12,.0f} {bars[1]:8,} {other:>15}"
        )
    print()
    cold_start()
    print()
    agreement()


def rate(call: Callable[[], Any], seconds: float) -> float:
    """Return calls a second in the best of five rounds."""
    best = 0.0
    for _ in range(5):
        count, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds / 5 or count == 0:
            call()
            count += 1
        best = max(best, count / elapsed)
    return best


def peer(body: bytes, seconds: float) -> str:
    try:
        from fhir.resources.R4B import get_fhir_model_class
    except ImportError:
        return "not installed"
    from terminology.fhirjson import decode_resource

    model = get_fhir_model_class(decode_resource(body)["resourceType"])
    model.model_validate_json(body)
    return f"{rate(lambda: model.model_validate_json(body), seconds):,.1f}"


def cold_start() -> None:
    command = [sys.executable, "-c", COLD.format(file=str(PATIENT))]
    took, memory, _ = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    print(f"first answer of a new process {float(took):.2f} s (bar 1 s), {float(memory):.0f} MB (bar 150 MB)")
    print(f"this process after all of the above {usage.getrusage(usage.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def agreement() -> None:
    from validator_suite import figures

    bars = {"core": 96, "base": 88, "profile": 90}
    for tier, (right, total) in figures().items():
        print(
            f"agreement with the reference validator, {tier:8} {right}/{total} = {100 * right / total:.1f} % (bar {bars[tier]} %)"
        )


if __name__ == "__main__":
    main()
