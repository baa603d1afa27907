"""Mutual recognition (检查检验结果互认): may an earlier result stand in for the one that is ordered now?

Pure: resources in, decisions with every rule's reason out. The physician decides; this advises
(《医疗机构检查检验结果互认管理办法》; rules MR-001 … MR-034).
"""

from conformance.recognition.engine import Answer, Candidate, recognize
from conformance.recognition.pack import Item, Pack, PackLibrary, Packs, load_packs
from conformance.recognition.question import Question, read_question
from conformance.recognition.record import Record
from conformance.recognition.verdict import RuleResult

__all__ = [
    "Answer",
    "Candidate",
    "Item",
    "Pack",
    "PackLibrary",
    "Packs",
    "Question",
    "Record",
    "RuleResult",
    "load_packs",
    "read_question",
    "recognize",
]
