"""DICOM objects as a source: paths are keywords, `PatientID`, `RequestAttributesSequence[].AccessionNumber`.

A private or unknown element is `` `0029,1010` ``. Beside the data dictionary's keywords a record has what is not in one
object or not at one place of it: `EXTRA`.
"""

from mappings.language.document import Document
from mappings.language.expression import ExpressionError
from mappings.language.sources import Level, SourceError
from mappings.language.sources.rows import RowPath, RowSource

EXTRA = {
    "Series": "every series of the study that has arrived, this object's at least, with `Instances[]`",
    "Instances": "within `Series[]`: SOPClassUID, SOPInstanceUID, InstanceNumber",
    "Modalities": "what kinds of series there are: Modality",
    "StudyStatus": "registered while objects arrive, then available",
    "DicomwebRoot": "where this gateway serves the objects",
    "TransferSyntaxUID": "of the file",
    "Measurements": "every NUM item of a structured report, with what is said of it around",
    "Findings": "every CODE and TEXT item that stands for itself",
    "Conclusions": "texts of its conclusion sections",
    "Narrative": "the whole report as text",
    "FindingSiteSequence": "of a measurement",
    "LateralitySequence": "of a measurement",
    "MethodSequence": "of a measurement",
    "DerivationSequence": "of a measurement",
    "FindingSequence": "of a measurement",
    "TrackingIdentifier": "of a measurement",
    "TrackingUniqueIdentifier": "of a measurement",
    "Section": "titles above an item",
    "Place": "number of an item in the report",
}


# The narrative is the whole tree of a report: who takes it leaves nothing of these out.
WITH_NARRATIVE = ("ContentSequence", "Findings", "Conclusions")


class UnknownKeyword(ExpressionError, SourceError):
    """A word that is no keyword, in a line or in an `each`."""


class KeywordSource(RowSource):
    """Refuses a keyword that PS3.6 doesn't have: a typing error in a map is found when it is loaded."""

    def __init__(self, document: Document, *, traced: bool) -> None:
        from mappings.dicom.dictionary import tag_of

        super().__init__(document, traced=traced)
        self._tag_of = tag_of

    def read_path(self, text: str, at: int) -> tuple[RowPath, int] | None:
        found = super().read_path(text, at)
        if found is not None:
            for step in found[0].steps:
                if (
                    isinstance(step, str)
                    and "," not in step
                    and step not in EXTRA
                    and self._tag_of(step) is None
                ):
                    raise UnknownKeyword(f"a keyword of the DICOM data dictionary instead of {step}", at)
        return found

    def _node(self, path: RowPath, level: Level) -> tuple[str, str]:
        if path.steps[0] == "Narrative":
            self.reads.update((name,) for name in WITH_NARRATIVE)
        return super()._node(path, level)
