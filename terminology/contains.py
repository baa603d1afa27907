"""One member of a value set as ValueSet.expansion.contains, with the properties and designations that were asked for.

Properties travel in R4 as the 5.0 cross-version extensions (https://hl7.org/fhir/R5/versions.html#extensions).
"""

from decimal import Decimal
from typing import Any

from terminology.concept_status import CONCEPT_PROPERTIES, standards_status, value_of
from terminology.designations import DISPLAY_USE, STANDARDS_STATUS, Designation, Designations
from terminology.fhirjson import Json
from terminology.languages import known
from terminology.members import Member
from terminology.options import Options

_R5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion"
EXPANSION_PROPERTY = f"{_R5}.property"
CONTAINS_PROPERTY = f"{_R5}.contains.property"

_FHIR = "http://hl7.org/fhir/StructureDefinition/"
_ITEM_WEIGHT = f"{_FHIR}itemWeight"

# Extension of a concept → (property code, property name in the standard, value type). The code system's, the value set's.
_AS_PROPERTY = {
    f"{_FHIR}codesystem-label": ("label", "label", "valueString"),
    f"{_FHIR}valueset-label": ("label", "label", "valueString"),
    f"{_FHIR}codesystem-conceptOrder": ("order", "order", "valueDecimal"),
    f"{_FHIR}valueset-conceptOrder": ("order", "order", "valueDecimal"),
    _ITEM_WEIGHT: ("weight", "itemWeight", "valueDecimal"),
}
_KEPT_OF_SYSTEM = {
    f"{_FHIR}coding-sctdescid",
    f"{_FHIR}rendering-style",
    f"{_FHIR}rendering-xhtml",
    f"{_FHIR}codesystem-alternate",
}
_KEPT_OF_VALUE_SET = {
    f"{_FHIR}valueset-supplement",
    f"{_FHIR}valueset-deprecated",
    STANDARDS_STATUS,
    f"{_FHIR}valueset-concept-definition",
    f"{_FHIR}coding-sctdescid",
    f"{_FHIR}rendering-style",
    f"{_FHIR}rendering-xhtml",
}


class Renderer:
    """Renders the members of one expansion; collects the properties it used and the supplements that gave texts."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._is_short = not options.include_designations and not options.properties
        self._declared: dict[str, str | None] = {}
        self.supplements: dict[str, None] = {}

    def declarations(self) -> list[Json]:
        """Return ValueSet.expansion.property as extensions."""
        return [
            {
                "url": EXPANSION_PROPERTY,
                "extension": [
                    {"url": "code", "valueCode": code},
                    *([{"url": "uri", "valueUri": uri}] if uri else []),
                ],
            }
            for code, uri in self._declared.items()
        ]

    def row(self, member: Member) -> Json:
        system, ordinal = member.system, member.ordinal
        if self._is_short and member.row is None and not member.shows_version:
            plain = getattr(system, "plain_row", None)
            found: Json | None = plain(ordinal, self._options.languages) if plain else None
            if found is not None:
                return found
        row: Json = {}
        extensions = self._extensions(member)
        if extensions:
            row["extension"] = extensions
        row["system"] = system.url
        if system.is_abstract(ordinal):
            row["abstract"] = True
        if system.is_inactive(ordinal):
            row["inactive"] = True
        if member.shows_version and system.version:
            row["version"] = system.version
        row["code"] = system.code(ordinal)
        designations = self._designations(member)
        preferred = designations.preferred(self._options.languages)
        if preferred is not None:
            row["display"] = preferred.value
            self._note_source(preferred)
        if self._options.include_designations:
            shown = [item for item in designations if item is not preferred and self._is_wanted(item)]
            if shown:
                row["designation"] = [item.as_json() for item in shown]
            for item in shown:
                self._note_source(item)
        return row

    def _designations(self, member: Member) -> Designations:
        designations = member.system.designations(member.ordinal)
        row = member.row
        if row is not None:
            if row.get("display"):
                language = known(member.value_set.get("language"))
                designations.items.append(Designation(row["display"], language, DISPLAY_USE))
            for item in row.get("designation") or ():
                if item.get("value"):
                    designations.items.append(
                        Designation(
                            item["value"].strip(),
                            known(item.get("language")),
                            item.get("use"),
                            standards_status(item) or "active",
                            tuple(item.get("extension") or ()),
                        )
                    )
        return designations

    def _note_source(self, item: Designation) -> None:
        if item.source:
            self.supplements[item.source] = None

    def _is_wanted(self, item: Designation) -> bool:
        """The `designation` parameter names uses (system|code) and languages (urn:ietf:bcp:47|de)."""
        if not self._options.designations:
            return True
        for wanted in self._options.designations:
            system, _, code = wanted.partition("|")
            if item.use and (item.use.get("system"), item.use.get("code")) == (system, code):
                return True
            if item.language and system == "urn:ietf:bcp:47" and item.language.tag == code:
                return True
        return False

    def _extensions(self, member: Member) -> list[Json]:
        """Return the extensions that are repeated, and the properties in the form of extensions."""
        system, ordinal = member.system, member.ordinal
        of_system = system.extensions(ordinal)
        of_value_set = (member.row or {}).get("extension") or ()
        kept = [extension for extension in of_system if extension.get("url") in _KEPT_OF_SYSTEM]
        kept += [extension for extension in of_value_set if extension.get("url") in _KEPT_OF_VALUE_SET]
        properties: dict[str, list[Json]] = {}
        status = system.status(ordinal)
        if status and status.lower() != "active":
            self._set(properties, "status", CONCEPT_PROPERTIES + "status", {"valueCode": status})
        elif not status and system.is_deprecated(ordinal):
            self._set(properties, "status", CONCEPT_PROPERTIES + "status", {"valueCode": "deprecated"})
        for extension in (*of_system, *of_value_set):
            if extension.get("url") in _AS_PROPERTY:
                code, name, kind = _AS_PROPERTY[extension["url"]]
                value = _number(value_of(extension)) if kind == "valueDecimal" else value_of(extension)
                self._set(properties, code, CONCEPT_PROPERTIES + name, {kind: value})
        self._add_asked(properties, member)
        return [*kept, *(row for rows in properties.values() for row in rows)]

    def _add_asked(self, properties: dict[str, list[Json]], member: Member) -> None:
        """Add what the `property` parameter names; "*" stands for all that the code system gives the concept."""
        asked = self._options.properties
        if not asked:
            return
        system, ordinal = member.system, member.ordinal
        definition = system.definition(ordinal)
        if "definition" in asked and definition:
            uri = CONCEPT_PROPERTIES + "definition"
            self._set(properties, "definition", uri, {"valueString": definition})
        uris = {row.get("code"): row.get("uri") for row in system.property_definitions}
        for row in system.properties(ordinal):
            code = row.get("code")
            if code and (code in asked or "*" in asked):
                value = {key: value for key, value in row.items() if key.startswith("value")}
                self._set(properties, code, uris.get(code), value, repeats=True)

    def _set(
        self,
        properties: dict[str, list[Json]],
        code: str,
        uri: str | None,
        value: Json,
        *,
        repeats: bool = False,
    ) -> None:
        if not value or None in value.values():
            return
        if not self._declared.get(code):
            self._declared[code] = uri
        row = {
            "url": CONTAINS_PROPERTY,
            "extension": [{"url": "code", "valueCode": code}, {"url": "value", **value}],
        }
        rows = properties.setdefault(code, [])
        if repeats and rows:
            if row not in rows:
                rows.append(row)
        else:
            properties[code] = [row]


def _number(value: Any) -> Any:
    return Decimal(value) if isinstance(value, str) else value
