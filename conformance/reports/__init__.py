"""A run as documents: JSON, JUnit, SARIF, one HTML file, TestReport, an XLSX matrix, and the comparison of two runs."""

from conformance.reports.compare import compare
from conformance.reports.document import from_document, to_document

__all__ = ["compare", "from_document", "to_document"]
