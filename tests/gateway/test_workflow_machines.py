"""Every (state × target × role) of every machine, against the tables as written by hand (tests/spec/workflow.yaml)."""

from pathlib import Path

import pytest
import yaml

from gateway.workflow.actor import CLINICAL, ROLES, Actor
from gateway.workflow.effects import EFFECTS, effect
from gateway.workflow.judge import allowed_next, judge
from gateway.workflow.machine import UNKNOWN, Machine, load_machine, machines
from gateway.workflow.needs import NEEDS
from gateway.workflow.page import machines_page
from terminology.issues import BusinessRule

SPEC = yaml.safe_load((Path(__file__).parent.parent / "spec" / "workflow.yaml").read_text("utf-8"))
ENFORCED = sorted(name for name, machine in machines().items() if not machine.is_free)


def roles(text: str) -> set[str]:
    """The roles of a cell; `*`: everybody clinical, and the gateway."""
    found: set[str] = set()
    for word in text.split():
        found |= CLINICAL | {"gw"} if word == "*" else {word}
    return found


def cases() -> list[tuple[str, str, str, str, str, bool]]:
    return [
        (name, kind, origin, target, role, role in roles(SPEC[name][kind].get(origin, {}).get(target, "")))
        for name in ENFORCED
        for kind in SPEC[name]
        for origin in machines()[name].states
        for target in machines()[name].states
        for role in ROLES
        if origin != target and UNKNOWN not in (origin, target)
    ]


def is_allowed(machine: Machine, kind: str, origin: str, target: str, actor: Actor) -> bool:
    try:
        judge(machine, kind, origin, target, actor, reference=f"{machine.resource}/1")
    except BusinessRule as error:
        [issue] = error.issues
        assert issue.expression == machine.path
        assert origin in issue.text("zh")
        assert target in issue.text("en")
        return False
    return True


def test_the_tables_cover_every_machine() -> None:
    assert sorted(SPEC) == ENFORCED


@pytest.mark.parametrize("name", ENFORCED)
def test_every_state_target_and_role_is_as_the_table_says(name: str) -> None:
    wrong = [
        (kind, origin, target, role, expected)
        for machine, kind, origin, target, role, expected in cases()
        if machine == name
        and is_allowed(machines()[name], kind, origin, target, Actor(roles=frozenset({role}))) != expected
    ]
    assert wrong == []


def test_the_matrix_is_as_large_as_it_should_be() -> None:
    """workflows §8 asks for 1,452 cases of one machine; these are all of them."""
    assert len(cases()) > 15_000


def test_what_a_caller_may_do_next_is_what_is_allowed_to_him() -> None:
    for name in ENFORCED:
        machine = machines()[name]
        for origin in machine.states:
            for role in ROLES:
                actor = Actor(roles=frozenset({role}))
                expected = [
                    target
                    for target in machine.states
                    if target != origin and is_allowed(machine, "", origin, target, actor)
                ]
                assert allowed_next(machine, "", origin, actor) == expected


def test_nobody_is_told_to_ask_nobody() -> None:
    """Who can do it, in both languages, from where."""
    with pytest.raises(BusinessRule) as caught:
        judge(
            machines()["Task"],
            "fulfill",
            "requested",
            "completed",
            Actor(roles=frozenset({"aud"})),
            reference="Task/1",
        )
    [issue] = caught.value.issues
    assert issue.code == "HT-WF-01"
    assert issue.type == "business-rule"
    assert "只能由 in-progress 变更,岗位:aud 审核医师, gw 网关" in issue.text("zh")
    assert "from in-progress only, by aud auditor, gw gateway" in issue.text("en")
    assert "What you may set now: received." in issue.text("en")


def test_a_role_that_lacks_the_right_is_told_who_has_it() -> None:
    with pytest.raises(BusinessRule) as caught:
        judge(
            machines()["Task"],
            "fulfill",
            "requested",
            "rejected",
            Actor(roles=frozenset({"read"})),
            reference="Task/1",
        )
    [issue] = caught.value.issues
    assert issue.code == "HT-WF-02"
    assert "disp centre dispatcher" in issue.text("en")
    assert "received, accepted" in issue.text("zh")


@pytest.mark.parametrize("name", sorted(machines()))
def test_a_machine_names_only_what_exists(name: str) -> None:
    machine = machines()[name]
    assert machine.source
    for row in machine.transitions.values():
        assert row.source, row
        for need in row.needs:
            assert need in NEEDS
        for one in row.effects:
            assert callable(effect(one))
    for one in (*machine.on_create, *machine.on_change, *machine.on_delete):
        assert callable(effect(one))


def test_every_effect_is_used() -> None:
    used = {
        name
        for machine in machines().values()
        for names in (
            machine.on_create, machine.on_change, machine.on_delete,
            *(row.effects for row in machine.transitions.values()),
        )
        for name in names
    }  # fmt: skip
    assert used == set(EFFECTS)


def test_the_page_is_what_the_store_enforces() -> None:
    page = Path(__file__).parent.parent.parent / "docs" / "workflow" / "machines.md"
    assert page.read_text("utf-8") == machines_page(), "run scripts/build_workflow_docs"


class TestFiles:
    def test_a_state_that_does_not_exist_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "x.yaml"
        file.write_text(
            "resource: Task\nversion: 1\neffective: 2026-01-01\nsource: s\nstates: [a]\n"
            "transitions: [{from: a, to: b, who: gw}]\n"
        )
        with pytest.raises(ValueError, match="names no state"):
            load_machine(file)

    def test_a_role_that_does_not_exist_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "x.yaml"
        file.write_text(
            "resource: Task\nversion: 1\neffective: 2026-01-01\nsource: s\nstates: [a, b]\n"
            "transitions: [{from: a, to: b, who: king}]\n"
        )
        with pytest.raises(ValueError, match="neither a role nor a group"):
            load_machine(file)
