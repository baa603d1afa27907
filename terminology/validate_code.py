"""$validate-code of ValueSet and CodeSystem: a code, a Coding or a CodeableConcept against a value set.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html,
https://hl7.org/fhir/R4/codesystem-operation-validate-code.html. CodeSystem/$validate-code asks for the value set of all
its codes. A negative answer is an answer: `result` false, with issues that say why.
"""

from functools import cmp_to_key
from typing import Any

from terminology.canonical import is_absolute, join
from terminology.canonical_status import note_status, vurl
from terminology.canonical_status import shown as shown_url
from terminology.check import Check
from terminology.code_system import CodeSystem
from terminology.coded import Coded, read_coded
from terminology.display_check import check_display, check_display_of_other
from terminology.fhirjson import Json
from terminology.inputs import Inputs
from terminology.languages import known
from terminology.membership import is_member, prepare
from terminology.outcome import TerminologyProblem, TxIssue
from terminology.scope import Scope
from terminology.validation_answer import Answer, answer_of, unprepared
from terminology.version_negotiation import add_path, note_unknown_system, present_versions
from terminology.versions import compare

NOT_CHECKED = {"UNKNOWN_CODESYSTEM", "UNKNOWN_CODESYSTEM_VERSION", "UNKNOWN_CODESYSTEM_VERSION_NONE"}


def validate_in_value_set(scope: Scope, value_set: Json, inputs: Inputs) -> Json:
    """Return the Parameters of ValueSet/$validate-code; raises InvalidInput and TerminologyProblem."""
    coded = read_coded(inputs, is_code_system=False)
    _fit_inference(scope, coded)
    try:
        prepare(scope, value_set)
    except TerminologyProblem as problem:
        if not problem.in_answer:
            raise
        return unprepared(scope, coded, problem)
    return _validate(scope, value_set, coded, is_code_system=False)


def validate_in_code_system(scope: Scope, system: CodeSystem | None, inputs: Inputs) -> Json:
    """Return the Parameters of CodeSystem/$validate-code. `system`: the one of the instance or the parameter."""
    coded = read_coded(inputs, is_code_system=True)
    _fit_inference(scope, coded)
    scope.require_supplements({})
    try:
        found = system if system is not None else _code_system(scope, coded, inputs)
    except TerminologyProblem as problem:
        if not problem.in_answer:
            raise
        return unprepared(scope, coded, problem)
    scope.check_supplements()
    return _validate(scope, _all_codes(found), coded, is_code_system=True)


def _fit_inference(scope: Scope, coded: Coded) -> None:
    """inferSystem is about the `code` parameter only: a Coding carries its own system or has none."""
    if coded.kind != "code":
        scope.options.infer_system = None


def _validate(scope: Scope, value_set: Json, coded: Coded, *, is_code_system: bool) -> Json:
    check, answer = Check(), Answer()
    note_status(scope, check.findings, value_set, value_set)
    outcome_so_far: bool | None = False
    matched: set[int] = set()
    shown: list[str] = []
    lacks_code = False
    for number, given in enumerate(coded.codings):
        coding = dict(given)
        path = coded.path(number)
        if not coding.get("code"):
            _note_no_code(scope, coding, path, check)
            lacks_code = True
            break
        check.next_coding()
        found = is_member(
            scope, value_set, path=path, system=coding.get("system"), version=coding.get("version"),
            code=coding["code"], display=coding.get("display"), check=check,
        )  # fmt: skip
        if not answer.tried or found is True:
            answer.tried = {**coding, "version": coding.get("version") or answer.tried.get("version")}
        if not answer.tried.get("version") and check.version:
            answer.tried["version"] = check.version
        system = check.implied_system or coding.get("system") or ""
        shown.append(_shown(coding, system))
        if found is False and not is_code_system and coded.kind == "codeableConcept":
            _note_not_in(scope, value_set, coded, number, shown[-1], check)
        if outcome_so_far is not True and found is not False:
            outcome_so_far = found
        if found is True:
            matched.add(number)
            _note_match(scope, coding, path, check, answer)
        elif not scope.options.membership_only and system:
            version = _look_up(scope, value_set, coded, coding, system, path, check, answer)
            if version and not given.get("version") and coded.kind == "codeableConcept":
                given["version"] = version
    _excuse_unchecked(scope, coded, matched, check)
    no_summary = lacks_code and (coded.kind != "codeableConcept" or is_code_system)
    if outcome_so_far is False and not no_summary and (not is_code_system or not check.findings.has_errors):
        _note_summary(scope, value_set, coded, shown, check)
    return answer_of(scope, coded, check, answer, is_found=outcome_so_far)


def _note_match(scope: Scope, coding: Json, path: str, check: Check, answer: Answer) -> None:
    if coding.get("display") and check.designations.items:
        check_display(scope, coding, path, check)
    if answer.code is not None:
        return
    # Of several members the first is the one that the answer echoes.
    answer.system, answer.code, answer.path = coding.get("system"), coding["code"], path
    answer.version = check.version
    preferred = check.designations.preferred(scope.options.languages) or check.designations.preferred(None)
    answer.display = preferred.value if preferred else None


def _look_up(
    scope: Scope,
    value_set: Json,
    coded: Coded,
    coding: Json,
    system: str,
    path: str,
    check: Check,
    answer: Answer,
) -> str | None:
    """The code is no member: say what its code system knows of it. Returns the version of the code system."""
    findings = check.findings
    if not is_absolute(system):
        issue = scope.issue(
            "error",
            "invalid",
            "invalid-data",
            "Terminology_TX_System_Relative",
            path=add_path(path, "system"),
        )
        check.say(issue.text)
        findings.add(issue)
    version = coding.get("version") or _stated_version(value_set, coding.get("system"))
    found = scope.code_system(system, version)
    if found is None:
        _note_no_system(scope, system, version, path, check)
        return None
    scope.check_version(found, findings, add_path(path, "version"))
    note_status(scope, findings, found.resource, value_set)
    ordinal = found.locate(coding["code"])
    if ordinal is None:
        _note_unknown_code(scope, found, coding["code"], path, check)
        return None
    check.designations.items.extend(found.designations(ordinal).items)
    check.default_language = check.default_language or known(found.language) or known("en")
    if found.is_inactive(ordinal):
        check.note_status(found, ordinal, path, coding["code"])
    if coded.kind != "codeableConcept":
        preferred = check.designations.preferred(scope.options.languages) or check.designations.preferred(
            None
        )
        answer.display = preferred.value if preferred else answer.display
        answer.version = found.version
    if coding.get("display") and check.designations.items:
        check_display_of_other(scope, {**coding, "system": found.url}, path, check)
    return found.version


def _note_no_system(scope: Scope, system: str, version: str | None, path: str, check: Check) -> None:
    place = add_path(path, "system")
    if scope.value_set(system) is not None:
        issue = scope.issue(
            "error", "invalid", "invalid-data", "Terminology_TX_System_ValueSet2", system, path=place
        )
    elif (supplement := scope.is_supplement(system, version)) is not None:
        issue = scope.issue(
            "error", "invalid", "invalid-data", "CODESYSTEM_CS_NO_SUPPLEMENT", vurl(supplement), path=place
        )
    else:
        chosen = scope.version_by_rules(system, version)
        note_unknown_system(
            scope, path, system, chosen, check.findings, check.messages, check.unknown_systems
        )
        return
    check.say(issue.text)
    check.findings.add_new(issue)


def _note_unknown_code(scope: Scope, system: CodeSystem, code: str, path: str, check: Check) -> None:
    place, values = add_path(path, "code"), (code, system.url, system.version)
    if system.content != "complete":
        check.findings.add_new(
            scope.issue(
                "warning", "code-invalid", "invalid-code", "UNKNOWN_CODE_IN_FRAGMENT", *values, path=place
            )
        )
        return
    message_id = "Unknown_Code_in_Version" if system.version else "Unknown_Code_in"
    issue = scope.issue("error", "code-invalid", "invalid-code", message_id, *values, path=place)
    check.say(issue.text)
    check.findings.add_new(issue)


def _note_no_code(scope: Scope, coding: Json, path: str, check: Check) -> None:
    values: tuple[Any, ...] = ()
    if coding.get("system"):
        message_id, shown_id, values = "Coding_has_no_code_for_system", "", (coding["system"],)
    elif scope.options.infer_system:
        message_id, shown_id = "Coding_has_no_code", ""
    else:
        message_id = shown_id = "Coding_has_no_system_or_code__cannot_validate"
    issue = scope.issue("warning", "invalid", "invalid-data", message_id, *values, path=path)
    check.say(issue.text)
    check.findings.add(
        issue if shown_id else TxIssue("warning", "invalid", "invalid-data", "", issue.text, path)
    )


def _note_not_in(scope: Scope, value_set: Json, coded: Coded, number: int, shown: str, check: Check) -> None:
    message_id = "None_of_the_provided_codes_are_in_the_value_set_one"
    check.findings.add(
        scope.issue(
            "information", "code-invalid", "this-code-not-in-vs", message_id, "", shown_url(value_set), shown,
            path=f"{coded.path(number)}.code",
        )
    )  # fmt: skip


def _note_summary(scope: Scope, value_set: Json, coded: Coded, shown: list[str], check: Check) -> None:
    if coded.kind == "codeableConcept":
        issue = scope.issue(
            "error", "code-invalid", "not-in-vs", "TX_GENERAL_CC_ERROR_MESSAGE", shown_url(value_set)
        )
    else:
        message_id = "None_of_the_provided_codes_are_in_the_value_set_one"
        issue = scope.issue(
            "error", "code-invalid", "not-in-vs", message_id, "", shown_url(value_set), ", ".join(shown),
            path=add_path(coded.root, "code"),
        )  # fmt: skip
    check.findings.add(issue)
    check.say(issue.text)


def _excuse_unchecked(scope: Scope, coded: Coded, matched: set[int], check: Check) -> None:
    """A coding of an unknown code system doesn't spoil a CodeableConcept of which another coding is a member."""
    if coded.kind != "codeableConcept" or not matched:
        return
    for number, coding in enumerate(coded.codings):
        place = f"{coded.path(number)}.system"
        for issue in list(check.findings.issues):
            if number in matched or issue.path != place or issue.message_id not in NOT_CHECKED:
                continue
            canonical = join(coding.get("system") or "", coding.get("version"))
            excused = scope.issue(
                "warning",
                "not-found",
                "not-found",
                "UNKNOWN_CODESYSTEM_CODING_NOT_CHECKED",
                canonical,
                path=place,
            )
            check.findings.issues[check.findings.issues.index(issue)] = excused
            check.messages[:] = [text for text in check.messages if text != issue.text]
            check.say(excused.text)


def _code_system(scope: Scope, coded: Coded, inputs: Inputs) -> CodeSystem:
    """Return the code system of CodeSystem/$validate-code; raises a TerminologyProblem that says why there is none."""
    coding = coded.codings[0] if coded.codings else {}
    url = inputs.text("url") or coding.get("system")
    if not url:
        message_id = "Coding_has_no_system__cannot_validate"
        path = coded.path(0) or None
        raise TerminologyProblem(
            scope.issue("warning", "invalid", "invalid-data", message_id, path=path), in_answer=True
        )
    version = inputs.text("version") or (coding.get("version") if not inputs.has("url") else None)
    found = scope.code_system(url, version)
    if found is not None:
        return found
    place = coded.element("system")
    supplement = scope.is_supplement(url, version)
    if supplement is not None:
        issue = scope.issue(
            "error", "invalid", "invalid-data", "CODESYSTEM_CS_NO_SUPPLEMENT", vurl(supplement), path=place
        )
        raise TerminologyProblem(issue, in_answer=True)
    if scope.value_set(url, version) is not None:
        issue = scope.issue(
            "error", "invalid", "invalid-data", "Terminology_TX_System_ValueSet2", url, path=place
        )
        raise TerminologyProblem(issue, in_answer=True)
    version = scope.version_by_rules(url, version)
    known_versions = present_versions(scope, url)
    values: tuple[str, ...] = (url,)
    message_id, unknown = "UNKNOWN_CODESYSTEM", url
    if version and known_versions:
        message_id, values, unknown = (
            "UNKNOWN_CODESYSTEM_VERSION",
            (url, version, known_versions),
            join(url, version),
        )
    elif version:
        message_id, values = "UNKNOWN_CODESYSTEM_VERSION_NONE", (url, version)
    problems = [scope.issue("error", "not-found", "not-found", message_id, *values, path=place)]
    if not is_absolute(url):
        problems.append(
            scope.issue("error", "invalid", "invalid-data", "Terminology_TX_System_Relative", url, path=place)
        )
    raise TerminologyProblem(*problems, in_answer=True, unknown_system=unknown)


def _all_codes(system: CodeSystem) -> Json:
    """Return the value set of all codes of a code system."""
    include = {"system": system.url, **({"version": system.version} if system.version else {})}
    return {
        "resourceType": "ValueSet",
        "url": system.value_set or f"{system.url}/vs",
        **({"version": system.version} if system.version else {}),
        "status": "active",
        "compose": {"include": [include]},
    }


def _stated_version(value_set: Json, system: str | None) -> str | None:
    """Return the latest version that the value set names for a code system."""
    stated = [
        part["version"]
        for part in (value_set.get("compose") or {}).get("include") or ()
        if part.get("system") == system and part.get("version")
    ]
    return max(stated, key=cmp_to_key(compare), default=None)


def _shown(coding: Json, system: str) -> str:
    display = f" ('{coding['display']}')" if coding.get("display") else ""
    return f"'{join(system, coding.get('version'))}#{coding['code']}{display}'"
