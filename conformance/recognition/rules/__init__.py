"""The rules MR-001 … MR-032, a function each: what is asked and one candidate in, a result out (None: not applicable)."""

from collections.abc import Callable

from conformance.recognition.case import Case
from conformance.recognition.rules import circumstance, institution, item, person, quality, report, validity
from conformance.recognition.verdict import RuleResult

Rule = Callable[[Case], RuleResult | None]

RULES: tuple[Rule, ...] = (
    person.same_person,
    person.valid_identity,
    report.final_and_signed,
    report.corrected,
    institution.active_and_licensed,
    institution.listed,
    institution.in_scope,
    quality.external_assessment,
    quality.internal_control,
    validity.within_validity,
    validity.plausible_times,
    item.same_item,
    item.comparable,
    item.same_site,
    quality.images,
    quality.waveform,
    quality.complete_data,
    quality.acceptable_specimen,
    circumstance.volatile,
    circumstance.unchanged_condition,
    circumstance.major_measure,
    circumstance.emergency,
    circumstance.purpose,
    institution.qualified,
    circumstance.monitoring,
    institution.level,
    report.conclusion,
    person.consent,
)
"""In the order of their numbers."""
