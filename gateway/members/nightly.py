"""Every night: the smoke tests of each member and the quality of its data. What got worse is proposed, never done.

A failed smoke test is proposed at once; a target out of reach, or a grade below the least one, after three nights.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from conformance.reports import to_document
from conformance.testing.ports import open_target
from conformance.testing.preset import presets, with_preset
from conformance.testing.quality import Quality, meets
from conformance.testing.result import Run
from conformance.testing.run import run_tests
from conformance.testing.yaml_test import YamlTest, load_suites, select
from gateway.journal import Journal
from gateway.members.ledger import Ledger
from gateway.members.registry import Registry
from gateway.members.sample import quality_of
from gateway.store.protocol import Commit, OutboxRow, Store
from terminology.fhirjson import Json

NIGHTS = 3
DAYS = 7
DROP = 0.10
"""A score that falls by this much below the median of the earlier nights is a drift."""
ACTIVE_STEPS = frozenset({"request", "send", "expect", "validate", "wait"})
"""A smoke test asks; nobody is there at night to send something or to attest."""

log = logging.getLogger("gateway.members")


class Nightly:
    """`data`: the data folder with `targets`, `presets`, `conformance-runs` and `certificates`."""

    def __init__(
        self,
        data: Path,
        store: Store,
        journal: Journal | None,
        *,
        clock: Callable[[], datetime],
        least: str = "C",
    ) -> None:
        self.data, self.store, self.journal, self.clock, self.least = data, store, journal, clock, least
        self.registry = Registry(data / "certificates", clock=clock)
        self.nights = Ledger(data / "certificates" / "nights.jsonl")

    async def keep_watch(self, at: str) -> None:
        """Run every day at `at` (HH:MM) until cancelled."""
        hour, minute = (int(part) for part in at.split(":"))
        while True:
            now = self.clock()
            due = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            due += timedelta(days=1) if due <= now else timedelta()
            await asyncio.sleep((due - now).total_seconds())
            try:
                await self.run_once()
            except Exception:
                # The outermost edge of a background part: tomorrow is another night.
                log.exception("nightly checks ended early")

    async def run_once(self) -> list[Json]:
        """Check every member that has a target file; return the new proposals."""
        made = []
        for path in sorted((self.data / "targets").glob("*.yaml")):
            try:
                made += await self._check(path.read_text("utf-8"), path.parent)
            except Exception as error:  # whatever one member's file or system does, the others are checked
                log.error("target left out", extra={"file": path.name, "reason": str(error)[:200]})
        return made

    async def _check(self, text: str, folder: Path) -> list[Json]:
        given = with_preset(yaml.safe_load(text), presets(self.data / "presets"))
        member = str(given["member"])
        run = await asyncio.to_thread(self._smoke, given, folder)
        quality = await quality_of(self.store, self.journal, member=member, days=DAYS)
        return await self._judge(member, run, quality)

    def _smoke(self, given: Json, folder: Path) -> Run | None:
        tests = smoke_tests(given.get("roles", ()))
        # Who is only listened to cannot be asked at night: no silence, nothing to be silent about.
        if not tests or not (given.get("fhir") or given.get("mllp")):
            return None
        target = open_target(
            {key: value for key, value in given.items() if key not in ("listen", "samples")}, folder
        )
        try:
            run = run_tests(tests, target, now=self.clock())
        finally:
            target.close()
        kept = self.data / "conformance-runs"
        kept.mkdir(parents=True, exist_ok=True)
        (kept / f"{run.id}.json").write_text(json.dumps(to_document(run), ensure_ascii=False), "utf-8")
        return run

    async def _judge(self, member: str, run: Run | None, quality: Quality) -> list[Json]:
        failed = [row.id for row in run.results if row.state in ("fail", "error")] if run is not None else []
        is_silent = (
            run is not None and bool(run.results) and all(row.state == "not-evaluated" for row in run.results)
        )
        earlier = [row for row in self.nights.rows() if row.get("member") == member]
        night = self.nights.write(
            "night", at=self.clock(), member=member, run=run.id if run is not None else None, failed=failed,
            silent=is_silent, score=quality.score, grade=quality.grade,
        )  # fmt: skip
        found: dict[str, Json] = {}
        if failed and run is not None:
            found["smoke"] = {"run": run.id, "failed": failed[:50]}
        if is_silent and all(row["silent"] for row in earlier[-NIGHTS + 1 :]) and len(earlier) >= NIGHTS - 1:
            found["unreachable"] = {"nights": NIGHTS}
        fall = drift([row["score"] for row in earlier], quality.score)
        is_low = quality.grade is not None and not meets(quality.grade, self.least)
        if (
            is_low
            and all(not meets(row["grade"], self.least) for row in earlier[-NIGHTS + 1 :])
            and len(earlier) >= NIGHTS - 1
        ):
            found["quality"] = {"grade": quality.grade, "least": self.least, "nights": NIGHTS}
        elif fall is not None:
            found["drift"] = {"score": night["score"], "fall": round(fall, 4)}
        made = []
        for kind, facts in found.items():
            proposal = self.registry.propose(member, kind=kind, facts=facts)
            if proposal is not None:
                await tell(self.store, member, reason=f"suspension-proposed-{kind}", at=self.clock())
                made.append(proposal)
        return made


def smoke_tests(roles: object) -> tuple[YamlTest, ...]:
    """Return the smoke tests of these roles that need nobody on the other side."""
    wanted = [str(role) for role in roles] if isinstance(roles, (list, tuple)) else []
    tests = [row for row in select(load_suites(), roles=wanted) if row.is_smoke] if wanted else []
    return tuple(row for row in tests if {next(iter(step)) for step in row.steps} <= ACTIVE_STEPS)


def drift(earlier: list[float | None], score: float | None) -> float | None:
    """Return by how much a score fell below the median of the earlier nights, when that is a drift."""
    known = sorted(row for row in earlier[-DAYS:] if row is not None)
    if score is None or len(known) < NIGHTS:
        return None
    fall = known[len(known) // 2] - score
    return fall if fall >= DROP else None


async def tell(store: Store, member: str, *, reason: str, at: datetime) -> None:
    """Put a change of a member's standing into the outbox (topic `member-status`)."""
    payload: Json = {
        "focus": f"Organization/{member}",
        "receivers": [f"Organization/{member}"],
        "reason": reason,
        "at": at.isoformat(),
    }
    await store.commit(Commit((), outbox=[OutboxRow("member-status", f"Organization/{member}", payload)]))
