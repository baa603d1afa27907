"""The tables of actions: whole, consistent with the shipped maps, and what china.md names is in them."""

import pytest

from mappings.hl7v3.actions import Action, Table, hospital, region
from mappings.language.active import ActiveMaps

TABLES = (hospital(), region())
ROWS = [(table, action) for table in TABLES for action in table.actions]
MAPS = ActiveMaps()


@pytest.mark.parametrize(("table", "action"), ROWS, ids=lambda value: getattr(value, "name", ""))
class TestEveryRow:
    def test_a_stored_action_has_a_shipped_map(self, table: Table, action: Action) -> None:
        if action.does == "store":
            assert MAPS.get(action.map).format == "xml"
        else:
            assert not action.map

    def test_a_query_has_a_finder(self, table: Table, action: Action) -> None:
        from gateway.interactions.ask import FINDERS

        if action.does == "query":
            assert action.finds in FINDERS or action.finds.startswith("reminder-")

    def test_it_is_found_by_each_of_its_names(self, table: Table, action: Action) -> None:
        for name in action.names:
            assert action in table.by_name[name.casefold()]


HOSPITAL = {
    "PatientRegistryAddRequest": ("PRPA_IN201311UV02", "PRPA_IN201312UV02", "PRPA_IN201313UV02"),
    "PatientRegistryReviseRequest": ("PRPA_IN201314UV02", "PRPA_IN201315UV02", "PRPA_IN201316UV02"),
    "PatientRegistryDuplicatesResolved": ("PRPA_IN201304UV02", "MCCI_IN000002UV01", "MCCI_IN000002UV01"),
    "PatientRegistryFindCandidatesQuery": ("PRPA_IN201305UV02", "PRPA_IN201306UV02", "PRPA_IN201306UV02"),
    "AddProviderRequest": ("PRPM_IN301010UV01", "PRPM_IN301011UV01", "PRPM_IN301011UV01"),
    "UpdateProviderRequest": ("PRPM_IN303010UV01", "PRPM_IN303011UV01", "PRPM_IN303011UV01"),
    "ProviderDetailsQuery": ("PRPM_IN306010UV01", "PRPM_IN306011UV01", "PRPM_IN306011UV01"),
    "AddOrganizationRequest": ("PRPM_IN401030UV01", "PRPM_IN401031UV01", "PRPM_IN401031UV01"),
    "UpdateOrganizationRequest": ("PRPM_IN403010UV01", "PRPM_IN403011UV01", "PRPM_IN403011UV01"),
    "OrganizationDetailQuery": ("PRPM_IN406010UV01", "PRPM_IN406110UV01", "PRPM_IN406110UV01"),
    "AddActOrder": ("POOR_IN200901UV", "MCCI_IN000002UV01", "MCCI_IN000002UV01"),
    "AddActRequest": ("POOR_IN200901UV", "MCCI_IN000002UV01", "MCCI_IN000002UV01"),
    "AmbulatoryEncounterStarted": ("PRPA_IN401001UV02", "MCCI_IN000002UV01", "MCCI_IN000002UV01"),
    "FindAmbulatoryEncountersQuery": ("PRPA_IN900300UV02", "PRPA_IN900350UV02", "PRPA_IN900350UV02"),
    "InpatientEncounterStarted": ("PRPA_IN402001UV02", "MCCI_IN000002UV01", "MCCI_IN000002UV01"),
    "InpatientEncounterCompleted": ("PRPA_IN402003UV02", "MCCI_IN000002UV01", "MCCI_IN000002UV01"),
}


@pytest.mark.parametrize("name", HOSPITAL)
def test_the_interactions_of_the_hospital_platform(name: str) -> None:
    (action,) = hospital().by_name[name.casefold()]
    request, accept, refuse = HOSPITAL[name]
    assert request in action.requests
    assert (action.accept, action.refuse) == (accept, refuse)


@pytest.mark.parametrize(
    "name",
    [
        *(f"IST-TRS{number}" for number in range(1, 10)),
        *(f"IST-CS{number}" for number in range(1, 12)),
        *(f"IST-RC{number}" for number in range(1, 9)),
        *(f"IST-YY{number}" for number in range(1, 8)),
        *(f"IST-RS{number}" for number in range(1, 4)),
        *(f"IST-HC{number}" for number in range(1, 9)),
        *(f"IST-PR{number}" for number in (1, 2, 3, 5, 6, 7)),
    ],
)
def test_the_transactions_of_the_regional_platform(name: str) -> None:
    assert region().by_name[name.casefold()]


def test_the_edition_and_source_of_each_table_are_told() -> None:
    for table in TABLES:
        assert table.edition
        assert table.source
