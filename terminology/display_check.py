"""Whether the display that came with a code is one of its displays, in the languages that count.

lenient-display-validation turns the error into a warning. Sentences and severities follow the terminology ecosystem.
"""

from terminology.check import Check
from terminology.designations import Designations
from terminology.fhirjson import Json
from terminology.languages import Language
from terminology.scope import Scope
from terminology.version_negotiation import add_path


def check_display(scope: Scope, coding: Json, path: str, check: Check) -> None:
    """Check the display of a coding whose code is a member."""
    display, languages = coding["display"], scope.options.languages
    found = check.designations
    difference = found.difference(display, languages)
    if difference != "none":
        _wrong(scope, coding, path, check, is_whitespace=difference == "whitespace", may_lack_language=True)
    elif found.difference(display, languages, is_active=True) != "none":
        right = '", "'.join(found.active_displays())
        check.findings.add(
            scope.issue(
                "warning", "invalid", "display-comment", "INACTIVE_DISPLAY_FOUND", display, coding["code"], right,
                found.status(display), path=add_path(path, "display"),
            )
        )  # fmt: skip


def check_display_of_other(scope: Scope, coding: Json, path: str, check: Check) -> None:
    """Check the display of a coding whose code is known, but not a member."""
    difference = check.designations.difference(
        coding["display"], scope.options.languages, default=check.default_language
    )
    if difference != "none":
        _wrong(scope, coding, path, check, is_whitespace=difference == "whitespace", may_lack_language=False)


def _wrong(
    scope: Scope, coding: Json, path: str, check: Check, *, is_whitespace: bool, may_lack_language: bool
) -> None:
    options = scope.options
    found, languages = check.designations, options.languages
    severity = _severity(scope)
    count = found.count(languages, displays_only=True)
    display, system, code = coding["display"], coding.get("system"), coding["code"]
    message_id = f"Display_Name_{'WS_' if is_whitespace else ''}for__should_be_one_of__instead_of"
    if count == 0 and may_lack_language:
        # No display in the language: its designations may still be what the sender saw.
        severity, count = "warning", found.count(languages, displays_only=False)
    place = add_path(path, "display")
    if count:
        word = "or" if options.message_language == "en" else "或"
        choices = found.present(languages, displays_only=True, word=word)
        suffix = "_one" if count == 1 else "_other"
        issue = scope.issue(
            severity, "invalid", "invalid-display", message_id + suffix, count, system, code, choices, display,
            options.language_summary, path=place, shown_id=message_id,
        )  # fmt: skip
    else:
        issue_id, severity = _without_language(scope, found, display, check.default_language)
        default = found.preferred(None)
        issue = scope.issue(
            severity, "invalid", "invalid-display", issue_id, display, system, code, options.language_summary,
            default.value if default else "", path=place,
        )  # fmt: skip
    check.say(issue.text)
    check.findings.add(issue)


def _without_language(
    scope: Scope, found: Designations, display: str, default: Language | None
) -> tuple[str, str]:
    """Return message id and severity when the asked languages have no text at all."""
    if found.preferred(None) is None:
        return "NO_VALID_DISPLAY_AT_ALL", "warning"
    if found.difference(display, scope.options.languages, default=default) == "none":
        return "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_OK", "information"
    return "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_ERR", _severity(scope)


def _severity(scope: Scope) -> str:
    return "warning" if scope.options.is_display_lenient else "error"
