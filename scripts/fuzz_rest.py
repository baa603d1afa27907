"""schemathesis and our own generator against a live server (see scripts/fuzz_rest)."""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from gateway.operations.registry import ROWS, Operations
from gateway.rest.context import Context
from gateway.rest.openapi import describe
from gateway.rest.respond_async import Jobs
from gateway.store.memory import MemoryStore
from tests.gateway.live import serving
from tests.gateway.test_bad_input import PATIENT, random_request


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    types = (
        sys.argv[2].split(",")
        if len(sys.argv) > 2
        else ["Patient", "Observation", "Bundle", "Binary", "Composition"]
    )
    store = MemoryStore()
    with serving(store) as base, tempfile.TemporaryDirectory() as folder:
        httpx.put(f"{base}/Patient/p", json=PATIENT)
        context = Context(store=store, operations=Operations(ROWS), jobs=Jobs())
        document = Path(folder) / "openapi.json"
        document.write_text(json.dumps(describe(base, context, types), default=float))
        schemathesis = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", base, "--checks", "not_a_server_error",
             "--max-examples", "10", "--phases", "examples,coverage,fuzzing", "--workers", "2"],
            check=False,
            timeout=seconds * 4,
        )  # fmt: skip
        failures = ours(base, seconds / 2)
    print(
        f"schemathesis: {'no 5xx' if schemathesis.returncode == 0 else 'FAILURES'}; own generator: {failures} answers of 5xx"
    )
    raise SystemExit(1 if schemathesis.returncode or failures else 0)


def ours(base: str, seconds: float) -> int:
    """Send random requests for a while; return how many answers were 5xx."""
    seed = int(time.time())
    print(f"own generator, seed {seed}")
    rng = random.Random(seed)
    failures = sent = 0
    end = time.monotonic() + seconds
    with httpx.Client() as client:
        while time.monotonic() < end:
            method, path, body, headers = random_request(rng)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            try:
                answer = client.request(method, f"{base}/{path}", content=body, headers=named, timeout=60)
            except (httpx.InvalidURL, httpx.LocalProtocolError, UnicodeEncodeError):
                continue
            sent += 1
            if answer.status_code >= 500:
                failures += 1
                print(answer.status_code, method, path, headers, body, answer.text[:500])
    print(f"{sent} requests")
    return failures


if __name__ == "__main__":
    main()
