"""A message of a platform → its resources: by the map of its action, a site's own first; other XML by its root."""

from typing import TYPE_CHECKING

from mappings.hl7v3.actions import Action, choose, hospital, region
from mappings.hl7v3.documents import with_documents
from mappings.hl7v3.envelope import Interaction
from mappings.language.result import Result

if TYPE_CHECKING:
    from mappings.language.active import ActiveMaps


def action_of(interaction: Interaction) -> Action | None:
    """Return the action of a message on whichever platform knows it."""
    found = (choose(table, interaction.action, interaction.root) for table in (hospital(), region()))
    return next((action for action in found if action is not None), None)


def convert_interaction(
    interaction: Interaction, maps: "ActiveMaps", *, name: str = "", explain: bool = False
) -> Result:
    """Return what a message becomes; a question becomes nothing. Raises UnmappableMessage when no map takes it."""
    action = action_of(interaction)
    if action is not None and action.does == "query" and not name:
        return Result([], action.name, action.accept, "")
    application, _, facility = interaction.source.partition("|")
    usual = action.map if action is not None else ""
    name = name or maps.name_for(interaction.message, application, facility, usual)
    result = maps.run_xml(
        interaction.message, name=name, application=application, facility=facility, explain=explain
    )
    result.control_id = interaction.id[1] or interaction.id[0] or None
    return with_documents(result, interaction.root, maps)
