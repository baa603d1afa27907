"""Where the catalogues of an installation are: two databases and the snapshots, under the data folder."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.catalogues.authoring import Catalogues
    from gateway.workbench.desk import Desk

FOLDER = "catalogues"


def snapshot_folder(settings: Settings) -> Path:
    return settings.data / FOLDER / "snapshots"


def open_catalogues(settings: Settings) -> "Catalogues":
    """Open the authoring database, made when it is not there."""
    from gateway.catalogues.authoring import Catalogues

    folder = settings.data / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return Catalogues(folder / "catalogues.sqlite", now=lambda: datetime.now(settings.zone))


def open_desk(settings: Settings) -> "Desk":
    """Open the workbench over the catalogues of the same installation."""
    from gateway.workbench.desk import Desk
    from gateway.workbench.projects import Projects

    catalogues = open_catalogues(settings)
    projects = Projects(settings.data / FOLDER / "workbench.sqlite", now=lambda: datetime.now(settings.zone))
    return Desk(catalogues, projects, now=lambda: datetime.now(settings.zone))
