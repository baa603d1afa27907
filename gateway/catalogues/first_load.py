"""The shipped catalogues on a new machine: loaded, published and frozen once, with progress."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from gateway.catalogues.authoring import Catalogue, Catalogues
from gateway.catalogues.publish import write_missing
from terminology.catalogue.shipped import Shipped, load_shipped, shipped

WHO = "hutong"
REVIEWER = "hutong-release"
"""The release of the project stands for author and reviewer: both names say that no person of the county did it."""

EARLIEST = date(2020, 1, 1)


def load_all(catalogues: Catalogues, folder: Path, *, progress: Callable[[str], None]) -> None:
    """Publish each shipped catalogue that is not there yet, and write missing snapshots."""
    for row in shipped().values():
        if catalogues.find(row.id) is None:
            progress(row.title)
            publish_shipped(catalogues, row)
    write_missing(catalogues, folder)


def publish_shipped(catalogues: Catalogues, row: Shipped) -> None:
    """Publish one shipped catalogue as its first version."""
    table = load_shipped(row)
    source = f"Hutong {row.file}; terminology/tables/SOURCES.md" + ("; sample" if row.is_sample else "")
    catalogues.register(Catalogue(row.id, row.url, row.title, row.kind, source), who=WHO)
    change_set, _ = catalogues.draft(row.id, table.rows, title=row.title, who=WHO)
    catalogues.move(change_set.id, "submitted", who=WHO)
    catalogues.move(change_set.id, "approved", who=REVIEWER)
    catalogues.publish(change_set.id, who=REVIEWER, effective=EARLIEST, label=row.version)
