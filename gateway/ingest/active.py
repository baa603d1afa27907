"""The maps in force, as messages see them."""

from collections.abc import Sequence

from gateway.settings import Settings
from mappings.hl7v2 import Message
from mappings.language.result import Result


class ActiveMaps:
    """Loads the maps when the first message comes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def handles(self, code: str, event: str) -> bool:
        raise NotImplementedError

    def events(self) -> Sequence[str]:
        raise NotImplementedError

    def run(self, message: Message) -> Result:
        raise NotImplementedError
