"""Verdicts, waivers, certificates and the gate."""

import base64
import json
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone

import pytest

from conformance.reports.certificate_page import to_certificate_html
from conformance.testing.certificate import (
    NEXT,
    Certificate,
    issue,
    new_key,
    public_key,
    sign,
    verify,
)  # fmt: skip
from conformance.testing.gate import Override, admits, roles_of
from conformance.testing.requirements import Requirement
from conformance.testing.result import Result, State, Step
from conformance.testing.verdict import Waiver, blocking, verdicts
from terminology.issues import BusinessRule, InvalidInput

TODAY = date(2026, 3, 15)
NOW = datetime(2026, 3, 15, 8, 0, tzinfo=timezone(timedelta(hours=8)))
REGISTER = {
    "A": Requirement("A", "甲", "first", "s", "MUST", ("lis",), "1.0"),
    "B": Requirement("B", "乙", "second", "s", "SHOULD", ("lis",), "1.0"),
}


def result(id: str, state: State, *, kind: str = "expect") -> Result:
    return Result(id, id, id, [Step(kind, "", state)], (id,), ("lis",))


def judged(*results: Result, **more: object) -> dict[str, State]:
    rows = verdicts(REGISTER, results, role="lis", today=TODAY, **more)  # type: ignore[arg-type]
    return {row.requirement.id: row.state for row in rows}


def waiver(until: date = TODAY + timedelta(days=30), **more: str) -> Waiver:
    given = {
        "requirement": "A",
        "reason": "vendor repairs it",
        "asked_by": "vendor",
        "approver": "bureau",
        **more,
    }
    return Waiver(granted=TODAY, until=until, **given)  # type: ignore[arg-type]


def made(*results: Result, **more: object) -> Certificate:
    rows = verdicts(REGISTER, results, role="lis", today=TODAY, **more)  # type: ignore[arg-type]
    return issue(member="TOWN1", vendor="V", product="P", version="1", verdicts={"lis": rows}, interface_version="1.0",
                 suite_hash="h", run="r", today=TODAY)  # fmt: skip


GOOD = (result("A", "pass"), result("B", "pass"))


class TestVerdicts:
    def test_without_evidence_nothing_is_evaluated(self) -> None:
        assert judged() == {"A": "not-evaluated", "B": "not-evaluated"}

    def test_a_skip_is_no_pass(self) -> None:
        assert judged(result("A", "not-evaluated"), result("B", "pass"))["A"] == "not-evaluated"

    def test_evidence_alone_is_attested(self) -> None:
        assert judged(result("A", "pass", kind="attest"))["A"] == "attested"

    def test_a_waiver_covers_a_failure_while_it_lasts(self) -> None:
        assert judged(result("A", "fail"), waivers=[waiver()])["A"] == "waived"
        late = Waiver("A", "x", "v", "b", TODAY - timedelta(days=40), TODAY - timedelta(days=1))
        assert judged(result("A", "fail"), waivers=[late])["A"] == "fail"

    def test_a_must_cannot_be_declared_away(self) -> None:
        found = judged(
            result("A", "fail"), result("B", "fail"), not_applicable={"A": "x", "B": "no such function"}
        )
        assert found == {"A": "fail", "B": "not-applicable"}

    def test_an_unknown_role_or_requirement_is_an_error(self) -> None:
        with pytest.raises(InvalidInput):
            verdicts(REGISTER, [], role="nobody", today=TODAY)
        with pytest.raises(InvalidInput):
            judged(*GOOD, not_applicable={"Z": "x"})

    @pytest.mark.parametrize(
        "wrong",
        [
            {"until": TODAY + timedelta(days=91)},
            {"until": TODAY - timedelta(days=1)},
            {"approver": "vendor"},
            {"reason": " "},
        ],
        ids=str,
    )
    def test_a_waiver_needs_its_form(self, wrong: dict[str, str]) -> None:
        with pytest.raises(BusinessRule):
            waiver(**wrong)  # type: ignore[arg-type]


class TestIssue:
    @pytest.mark.parametrize("state", ["fail", "error", "not-evaluated"])
    def test_a_must_that_is_not_good_stands_in_the_way(self, state: State) -> None:
        with pytest.raises(BusinessRule):
            made(result("A", state), result("B", "pass"))

    def test_anything_not_evaluated_stands_in_the_way(self) -> None:
        rows = verdicts(REGISTER, [result("A", "pass")], role="lis", today=TODAY)
        assert [row.requirement.id for row in blocking(rows)] == ["B"]

    def test_a_waiver_makes_it_conditional(self) -> None:
        found = made(result("A", "fail"), result("B", "pass"), waivers=[waiver()])
        assert found.state == "conditional"
        assert found.waivers == {"A": "2026-04-14"}
        assert found.state_on(date(2026, 4, 15)) == "suspended"

    def test_states_follow_the_table(self) -> None:
        found = made(*GOOD)
        assert found.moved("suspended").moved("certified").state == "certified"
        with pytest.raises(BusinessRule):
            found.moved("revoked").moved("certified")
        assert NEXT["revoked"] == ()


class TestVerify:
    """RFC 7515, RFC 8037, RFC 8725"""

    key = new_key()

    def test_what_was_signed_is_verified(self) -> None:
        jws = sign(made(*GOOD), self.key)
        assert verify(jws, public_key(self.key), today=TODAY, role="lis") == made(*GOOD)

    def test_every_altered_byte_is_refused(self) -> None:
        jws = sign(made(*GOOD), self.key)
        for at in range(0, len(jws), 7):
            altered = jws[:at] + ("A" if jws[at] != "A" else "B") + jws[at + 1 :]
            with pytest.raises(InvalidInput):
                verify(altered, public_key(self.key), today=TODAY)

    def test_another_content_under_the_old_signature_is_refused(self) -> None:
        head, _, tail = sign(made(*GOOD), self.key).split(".")
        body = sign(replace(made(*GOOD), member="TOWN2"), new_key()).split(".")[1]
        with pytest.raises(InvalidInput, match="signature"):
            verify(f"{head}.{body}.{tail}", public_key(self.key), today=TODAY)

    def test_expiry_wrong_key_and_wrong_role_are_refused(self) -> None:
        jws, public = sign(made(*GOOD), self.key), public_key(self.key)
        with pytest.raises(InvalidInput, match="expired"):
            verify(jws, public, today=TODAY + timedelta(days=366))
        with pytest.raises(InvalidInput, match="expired"):
            verify(jws, public, today=TODAY - timedelta(days=1))
        with pytest.raises(InvalidInput, match="signature"):
            verify(jws, public_key(new_key()), today=TODAY)
        with pytest.raises(InvalidInput, match="role"):
            verify(jws, public, today=TODAY, role="ecg-centre")

    def test_a_revoked_one_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="revoked"):
            verify(sign(made(*GOOD).moved("revoked"), self.key), public_key(self.key), today=TODAY)

    @pytest.mark.parametrize("algorithm", ["none", "HS256"])
    def test_the_algorithm_is_not_the_senders_choice(self, algorithm: str) -> None:
        head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).rstrip(b"=").decode()
        body = sign(made(*GOOD), self.key).split(".")[1]
        with pytest.raises(InvalidInput, match="alg"):
            verify(f"{head}.{body}.", public_key(self.key), today=TODAY)

    @pytest.mark.parametrize("jws", ["", "a", "a.b", "a.b.c", "." * 2, "é.é.é", "x" * 300_000])
    def test_garbage_is_refused(self, jws: str) -> None:
        with pytest.raises(InvalidInput):
            verify(jws, public_key(self.key), today=TODAY)

    def test_the_page_has_a_code_and_escapes(self) -> None:
        page = to_certificate_html(replace(made(*GOOD), vendor="<script>"), sign(made(*GOOD), self.key))
        assert "<svg" in page
        assert "<script>" not in page


class TestGate:
    def ask(
        self,
        interaction: str,
        *,
        member: str = "TOWN1",
        certificate: Certificate | None = None,
        **more: object,
    ) -> str:
        held = {"TOWN1": [certificate or made(*GOOD)]}
        found = admits(member, interaction, certificates=held, now=NOW, **more)  # type: ignore[arg-type]
        return "admitted" if found.is_admitted else str(found.issue.values["reason"]) if found.issue else ""

    def test_a_certified_role_is_admitted(self) -> None:
        assert self.ask("ORU^R01") == "admitted"

    def test_every_bypass_is_refused(self) -> None:
        assert self.ask("ADT^A01") == "no-certificate"
        assert self.ask("ORU^R01", member="TOWN2") == "no-certificate"
        assert self.ask("ORU^R01", member="") == "no-certificate"
        assert self.ask("ORU^R01", role="ecg-centre") == "no-certificate"
        assert self.ask("ORU^R01", role="his-sender") == "no-role"
        assert self.ask("oru^r01") == "no-role"
        assert self.ask("*") == "no-role"
        assert self.ask("ORU^R01", certificate=replace(made(*GOOD), member="TOWN2")) == "other-member"
        for state in ("draft", "testing", "suspended", "revoked", "expired"):
            assert self.ask("ORU^R01", certificate=replace(made(*GOOD), state=state)) == state
        assert self.ask("ORU^R01", certificate=replace(made(*GOOD), valid_to="2026-03-14")) == "expired"

    def test_an_override_needs_two_people_and_ends(self) -> None:
        given = Override("TOWN2", "flood", ("a", "b"), NOW, NOW + timedelta(hours=4))
        found = admits("TOWN2", "ORU^R01", certificates={}, now=NOW, overrides=[given])
        assert (found.is_admitted, found.by_override) == (True, True)
        later = admits("TOWN2", "ORU^R01", certificates={}, now=NOW + timedelta(hours=4), overrides=[given])
        assert not later.is_admitted
        for approvers, hours in ((("a", "a"), 4), (("a", " "), 4), (("a", "b"), 25), (("a", "b"), 0)):
            with pytest.raises(BusinessRule):
                Override("TOWN2", "flood", approvers, NOW, NOW + timedelta(hours=hours))

    def test_the_table_names_roles(self) -> None:
        assert "lis" in roles_of("ORU^R01")
        assert roles_of("create Task") == ("fhir-server", "chronic-care")
