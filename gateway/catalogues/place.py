"""Where the catalogues of an installation are: two databases and the snapshots, under the data folder."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gateway.settings import Settings
from terminology.snapshot.library import SUFFIX

if TYPE_CHECKING:
    from gateway.catalogues.authoring import Catalogues
    from gateway.workbench.desk import Desk

T = TypeVar("T")

FOLDER = "catalogues"
CATALOGUES = "catalogues.sqlite"
WORKBENCH = "workbench.sqlite"


def snapshot_folder(settings: Settings) -> Path:
    return settings.data / FOLDER / "snapshots"


def snapshot_path(folder: Path, catalogue: str, number: int) -> Path:
    """Return where the snapshot of a version lies."""
    return folder / f"{catalogue}-{number}{SUFFIX}"


def has_snapshots(settings: Settings) -> bool:
    """Whether any catalogue is published here; asking it opens nothing."""
    return next(snapshot_folder(settings).glob(f"*{SUFFIX}"), None) is not None


def open_catalogues(settings: Settings) -> "Catalogues":
    """Open the authoring database, made when it is not there."""
    from gateway.catalogues.authoring import Catalogues

    folder = settings.data / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return Catalogues(folder / CATALOGUES, now=settings.now)


def open_desk(settings: Settings, catalogues: "Catalogues | None" = None) -> "Desk":
    """Open the workbench over the catalogues of the same installation."""
    from gateway.workbench.desk import Desk
    from gateway.workbench.projects import Projects

    catalogues = catalogues or open_catalogues(settings)
    projects = Projects(settings.data / FOLDER / WORKBENCH, now=settings.now)
    return Desk(catalogues, projects, now=settings.now)


class Office:
    """The catalogues and the workbench of a running gateway: opened when first asked for, used by one thread.

    Reading a file of 40,000 rows takes a second; messages and FHIR requests go on meanwhile.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._thread = ThreadPoolExecutor(1, "catalogues")

    @cached_property
    def desk(self) -> "Desk":
        return open_desk(self.settings, self.catalogues)

    @cached_property
    def catalogues(self) -> "Catalogues":
        return open_catalogues(self.settings)

    @property
    def snapshots(self) -> Path:
        return snapshot_folder(self.settings)

    @property
    def has_catalogues(self) -> bool:
        """Whether anything was ever loaded here; asking it makes no file."""
        return (self.settings.data / FOLDER / CATALOGUES).is_file()

    @property
    def has_workbench(self) -> bool:
        """Whether somebody ever mapped here; asking it makes no file."""
        return (self.settings.data / FOLDER / WORKBENCH).is_file()

    def today(self) -> date:
        return self.settings.now().date()

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` on the thread of the databases."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        if "desk" in self.__dict__:
            await self.run(self.desk.close)
        elif "catalogues" in self.__dict__:
            await self.run(self.catalogues.close)
        self._thread.shutdown()
