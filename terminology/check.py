"""What $validate-code finds out about the codings that it checks."""

from dataclasses import dataclass, field

from terminology.code_system import CodeSystem
from terminology.designations import Designations
from terminology.languages import Language
from terminology.outcome import Findings


@dataclass
class Check:
    """What checking one coding, or the codings of a CodeableConcept, found so far.

    The fields of the second half belong to the coding that is being checked.
    """

    findings: Findings = field(default_factory=Findings)
    messages: list[str] = field(default_factory=list)
    unknown_systems: list[str] = field(default_factory=list)
    is_inactive: bool = False
    inactive_path: str = ""
    inactive_code: str = ""
    status: str | None = None
    normal_form: str | None = None
    implied_system: str | None = None

    designations: Designations = field(default_factory=Designations)
    version: str | None = None
    content: str | None = None
    default_language: Language | None = None

    def next_coding(self) -> None:
        self.designations = Designations()
        self.version = self.content = self.default_language = None

    def say(self, text: str) -> None:
        if text and text not in self.messages:
            self.messages.append(text)

    def note_status(self, system: CodeSystem, ordinal: int, path: str, code: str) -> None:
        """Remember whether the code is inactive; the first inactive code of a CodeableConcept is the one reported."""
        if self.is_inactive:
            return
        self.is_inactive = system.is_inactive(ordinal)
        self.inactive_path, self.inactive_code = path, code
        self.status = system.status(ordinal)
