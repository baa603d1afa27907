"""What a store needs done now and then while it runs: reindexing for posted parameters, dropping stale index rows."""

import asyncio
import logging
from time import monotonic

from gateway.store.protocol import Store
from terminology.issues import FhirError

PURGE_SECONDS = 60.0
STEP = 500
"""Resources that one reindexing transaction reads; writes of others go between."""

log = logging.getLogger(__name__)


async def upkeep(store: Store, *, seconds: float = 1.0) -> None:
    """Run until cancelled; a database that is away is tried again."""
    purged = monotonic()
    while True:
        await asyncio.sleep(0 if store.parameters.waiting() else seconds)
        try:
            if store.parameters.waiting():
                for state in await store.reindex(step=STEP):
                    log.info("reindex %s: %s of %s", state.code, state.done, state.total)
            if monotonic() - purged > PURGE_SECONDS:
                purged = monotonic()
                dropped = 1
                while dropped:
                    dropped = await store.purge()
        except FhirError as error:
            log.warning("store upkeep: %s", error)
            await asyncio.sleep(seconds)
