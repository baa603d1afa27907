"""What looks at clocks and acts by itself: deadlines, referrals, critical values, plans of chronic patients, public
health, sources.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from gateway.channels.port import Port
from gateway.ingest.intake import Intake
from gateway.ingest.kind import Kind
from gateway.ingest.table import Table
from gateway.journal import Journal
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.store.protocol import Store

if TYPE_CHECKING:
    from gateway.sources.polling import Polling
    from gateway.workflow.desk import Desk

Writes = Callable[[], int]


def build_watches(
    settings: Settings, store: Store, metrics: Metrics, desk: "Desk | None", writes: Writes
) -> Sequence[Port]:
    """Return those that are switched on, in the order in which they start. `writes` counts the commits of this process."""
    watches: list[Port] = []
    if settings.workflow and settings.chronic_care:
        watches.append(_chronic_care(settings, store, writes))
    if desk is not None:
        watches.append(_deadlines(settings, store, metrics))
        watches.append(_referrals(settings, store, writes))
    if desk is not None and settings.critical_values:
        watches.append(_critical_values(settings, store, desk, writes))
    if desk is not None and settings.public_health:
        watches.append(_public_health(settings, store, desk, writes))
    return watches


def _chronic_care(settings: Settings, store: Store, writes: Writes) -> Port:
    from conformance.chronic import load_diseases
    from gateway.care.keeper import Keeper

    return Keeper(
        store,
        load_diseases(settings.care_packs),
        settings.data / "chronic-care.json",
        clock=settings.now,
        writes=writes,
    )


def _deadlines(settings: Settings, store: Store, metrics: Metrics) -> Port:
    from gateway.workflow.deadlines import Deadlines

    return Deadlines(store, clock=settings.now, metrics=metrics)


def _referrals(settings: Settings, store: Store, writes: Writes) -> Port:
    from gateway.referral.watch import ReferralWatch

    return ReferralWatch(store, settings.data / "referral.json", clock=settings.now, writes=writes)


def _critical_values(settings: Settings, store: Store, desk: "Desk", writes: Writes) -> Port:
    from gateway.critical.watch import CriticalWatch

    return CriticalWatch(
        store,
        settings.data / "critical-values.json",
        packs=desk.packs,
        clock=settings.now,
        writes=writes,
    )


def _public_health(settings: Settings, store: Store, desk: "Desk", writes: Writes) -> Port:
    from gateway.public_health.watch import PublicHealthWatch

    return PublicHealthWatch(
        store,
        settings.data / "public-health.json",
        packs=desk.packs,
        clock=settings.now,
        writes=writes,
    )


def build_polling(
    settings: Settings, intake: Intake, journal: Journal, kinds: Mapping[str, Kind], metrics: Metrics
) -> "Polling":
    """Return what reads the sources of the settings; raises InvalidInput (HT-TAB-10)."""
    from gateway.sources.polling import Polling
    from gateway.sources.reading import Door
    from gateway.sources.source import load_sources

    sources = load_sources(settings.sources, os.environ) if settings.sources is not None else ()
    door = Door(intake, journal, cast("Table", kinds["table"]))
    return Polling(sources, door, metrics=metrics, limit=settings.message_max_bytes)
