"""The folder sender: one file a message, complete when its name appears."""

import asyncio
from pathlib import Path

from gateway.durable_file import write_durably
from gateway.outbound.delivery import Letter, Verdict
from gateway.outbound.destination import Destination

_ENDINGS = (("hl7-v2", ".hl7"), ("xml", ".xml"), ("json", ".json"))


class FolderSender:
    """Writes `CONTROL_ID.hl7` by a rename, so that a reader never meets half a file; the same message is the same file."""

    def __init__(self, destination: Destination) -> None:
        self._folder = Path(destination.address)

    async def send(self, letter: Letter) -> Verdict:
        try:
            name = await asyncio.to_thread(self._write, letter)
        except OSError as error:
            return Verdict("unreachable", "folder", error.strerror or str(error))
        return Verdict("accepted", "written", name)

    def _write(self, letter: Letter) -> str:
        media = letter.media.partition(";")[0].strip()
        ending = next((ending for word, ending in _ENDINGS if word in media), ".txt")
        name = f"{letter.control_id}{ending}"
        write_durably(self._folder / name, letter.body)
        return name

    async def close(self) -> None:
        """Nothing is open between messages."""
