"""The shipped catalogues on a new machine: loaded, published and frozen once, with progress."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from gateway.catalogues.authoring import Catalogue, Catalogues
from gateway.catalogues.publish import write_missing
from terminology.catalogue.shipped import Shipped, load_shipped, shipped
from terminology.issues import NotFound

WHO = "hutong"
REVIEWER = "hutong-release"
"""The release of the project stands for author and reviewer: both names say that no person of the county did it."""

EARLIEST = date(2020, 1, 1)


def load_some(
    catalogues: Catalogues, folder: Path, names: Sequence[str] = (), *, progress: Callable[[str], None]
) -> None:
    """Publish shipped catalogues (all of them without `names`) that are not there yet, and write missing snapshots.

    Raises NotFound HT-CAT-43 for a name that does not ship; nothing is loaded then.
    """
    known = shipped()
    for name in names:
        if name not in known:
            raise NotFound("HT-CAT-43", catalogue=name, known=", ".join(known))
    for row in [known[name] for name in names] or known.values():
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
