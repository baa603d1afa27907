"""Validation against a profile: what it demands beyond the base type (https://hl7.org/fhir/R4/profiling.html)."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from conformance.definitions import Constraint, is_subtype
from conformance.validation.codings import check_bound
from conformance.validation.comparison import compare, matches_pattern, matches_regex, shifted
from conformance.validation.items import Item, item_of
from conformance.validation.path import Path
from conformance.validation.profile_rule import Profile, Rule, has_work
from conformance.validation.references import resolve
from conformance.validation.run import Policy, Run, Scope
from conformance.validation.slicing import is_in_slice, slicing_of
from conformance.validation.tables import is_primitive
from terminology.issues import FhirError, Severity

_BASE = "http://hl7.org/fhir/StructureDefinition/"


def check_profile(item: Item, url: str, run: Run) -> None:
    """Report where an item breaks a profile; an unknown profile is a warning, a broken one is told once."""
    profile = run.registry.profile(url)
    if profile is None:
        run.report("HT-VAL-80", item.path, "warning", url=url[:200])
        return
    Checker(run).check(item, profile)


def conforms(value: Any, url: str, scope: Scope, run: Run) -> bool | None:
    """Tell whether a resource conforms to a profile; None when the profile is unknown."""
    if run.registry.profile(url) is None or not isinstance(value, dict):
        return None
    return Checker(run).conforms(
        item_of(value, scope.path, Scope(value, scope.path, scope, scope.held, scope.entry)), url
    )


class Checker:
    """One check against profiles; `open` guards against profiles that lead back to themselves on the same value."""

    def __init__(self, run: Run, open_: frozenset[tuple[str, int]] = frozenset()) -> None:
        self.run = run
        self.open = open_

    def check(self, item: Item, profile: Profile) -> None:
        key = (profile.url, id(item.value))
        if key in self.open:
            return
        self._tell_problems(profile, item)
        if item.type != profile.type and not is_subtype(item.type, profile.type):
            self.report("HT-VAL-81", item.path, profile, type=item.type, wanted=profile.type)
            return
        inner = Checker(self.run, self.open | {key})
        inner.check_constraints(item, profile.root.constraints, profile)
        if profile.root.value is not None:
            inner.check_value(item, profile.root, profile)
        inner.check_children(item, profile.root, profile)
        for url in profile.imposed:
            imposed = self.run.registry.profile(url)
            if imposed is not None:
                inner.check(item, imposed)

    def report(
        self, code: str, path: Path, profile: Profile, severity: Severity = "error", /, **values: Any
    ) -> None:
        self.run.report(code, path, severity, profile=profile.label, **values)

    def _tell_problems(self, profile: Profile, item: Item) -> None:
        key = ("profile problems", profile.url)
        if key not in self.run.memory:
            self.run.memory[key] = True
            for code, values in profile.problems:
                severity: Severity = "error" if code == "HT-VAL-143" else "warning"
                self.run.report(code, item.path, severity, **values)

    def conforms(self, item: Item, url: str) -> bool:
        """Tell whether an item conforms, without reporting; an unknown profile is met when the type is."""
        profile = self.run.registry.profile(url)
        if profile is None:
            return url.partition("|")[0].removeprefix(_BASE) == item.type
        # The base type's name as a profile asks for the type only.
        if (
            url.startswith(_BASE)
            and profile.type == profile.root.path
            and url.partition("|")[0] == _BASE + profile.type
        ):
            return is_subtype(item.type, profile.type)
        return not self._trial(lambda check: check.check(item, profile))

    def fits(self, item: Item, rule: Rule) -> bool:
        """Tell whether an item is what a slice says at a discriminator: value, pattern, binding, or what lies below."""
        profile = Profile("", "", item.type, rule)
        if rule.binding is not None and rule.value is None and rule.binding.strength == "required":
            type_name = item.type
            if self._trial(lambda check: check.check_binding(item, rule, type_name)):
                return False
        return not self._trial(lambda check: check.check_rule(item, rule, profile))

    def _trial(self, attempt: Any) -> bool:
        """Run a check on a copy of the run that keeps its findings apart; True when it found an error."""
        run = Run(
            self.run.terminology,
            self.run.registry,
            Policy(best_practice=False),
            [],
            self.run.memory,
            self.run.now,
        )
        attempt(Checker(run, self.open))
        return any(issue.severity == "error" for issue in run.issues)

    def check_children(self, item: Item, rule: Rule, profile: Profile) -> None:
        for child in rule.children.values():
            if has_work(child):
                self.check_element(item, child, profile)

    def check_element(self, holder: Item, rule: Rule, profile: Profile) -> None:
        """Check all values of one element together: how many, each one, and their slices."""
        items = holder.members(rule.name)
        label = f"{rule.path}"
        self._count(len(items), rule, label, holder, profile)
        for item in items:
            self.check_rule(item, rule, profile)
        if rule.slices:
            self._slices(holder, items, rule, profile)

    def _count(self, count: int, rule: Rule, label: str, holder: Item, profile: Profile) -> None:
        if not rule.own:
            return
        if count < rule.min:
            self.report("HT-VAL-82", holder.path, profile, element=label, min=rule.min, count=count)
        if rule.max is not None and count > rule.max:
            self.report("HT-VAL-83", holder.path, profile, element=label, max=rule.max, count=count)

    def check_rule(self, item: Item, rule: Rule, profile: Profile) -> None:
        """Check one value against one element or slice definition."""
        if rule.own and rule.types and not self._type_allowed(item, rule, profile):
            return
        if rule.value is not None:
            self.check_value(item, rule, profile)
        if rule.own and (rule.binding is not None or rule.max_value_set):
            self.check_binding(item, rule, item.type)
        if rule.limits or rule.max_length is not None or rule.pattern is not None:
            self._limits(item, rule, profile)
        if rule.constraints:
            self.check_constraints(item, rule.constraints, profile, is_place=True)
        if rule.own:
            self._type_profiles(item, rule, profile)
        if rule.children:
            self.check_children(item, rule, profile)

    def _type_allowed(self, item: Item, rule: Rule, profile: Profile) -> bool:
        codes = {ref.code for ref in rule.types}
        if item.type in codes or "Element" in codes or "BackboneElement" in codes:
            return True
        if any(is_subtype(item.type, code) for code in codes) or (
            is_primitive(item.type) and codes == {"string"}
        ):
            return True
        if item.spec is not None and item.spec.name == "id":
            return True
        self.report("HT-VAL-84", item.path, profile, type=item.type, wanted=", ".join(sorted(codes)))
        return False

    def check_value(self, item: Item, rule: Rule, profile: Profile) -> None:
        assert rule.value is not None
        kind, wanted = rule.value
        value = item.value
        if kind.startswith("fixed"):
            extra = (
                sorted(value.keys() - wanted.keys())
                if isinstance(value, dict) and isinstance(wanted, dict)
                else []
            )
            if extra:
                self.report("HT-VAL-85", item.path, profile, name=", ".join(extra))
            elif value != wanted or (isinstance(value, Decimal) and str(value) != str(wanted)):
                self.report("HT-VAL-86", item.path, profile, value=_shown(value), wanted=_shown(wanted))
        elif not matches_pattern(value, wanted):
            self.report("HT-VAL-87", item.path, profile, value=_shown(value), wanted=_shown(wanted))

    def check_binding(self, item: Item, rule: Rule, type_name: str) -> None:
        value = item.value
        # On a choice of several types the binding speaks of whichever is coded; the reference validator leaves it open.
        if value is None or (rule.name.endswith("[x]") and len(rule.types) > 1):
            return
        binding = rule.binding
        if binding is not None and binding.value_set and binding.strength != "example":
            check_bound(
                value, _bound_type(type_name), binding.strength, binding.value_set, item.path, self.run
            )
        if rule.max_value_set:
            check_bound(value, _bound_type(type_name), "required", rule.max_value_set, item.path, self.run)

    def _limits(self, item: Item, rule: Rule, profile: Profile) -> None:
        if rule.max_length is not None and isinstance(item.value, str) and len(item.value) > rule.max_length:
            self.report("HT-VAL-88", item.path, profile, length=len(item.value), max=rule.max_length)
        if (
            rule.pattern is not None
            and isinstance(item.value, str)
            and matches_regex(rule.pattern, item.value) is False
        ):
            self.report("HT-VAL-98", item.path, profile, value=_shown(item.value), pattern=rule.pattern[:200])
        for key, limit in rule.limits.items():
            is_min = key.startswith("minValue")
            order = self._order(item.value, key, limit)
            if order is not None and (order < 0 if is_min else order > 0):
                self.report(
                    "HT-VAL-89" if is_min else "HT-VAL-90",
                    item.path,
                    profile,
                    value=_shown(item.value),
                    limit=_shown(limit),
                )

    def _order(self, value: Any, key: str, limit: Any) -> int | None:
        """Compare a value with its limit; a duration on a date is counted from now (elementdefinition.html#minValue)."""
        if key.endswith("Duration") and isinstance(value, str) and isinstance(limit, dict):
            moment = shifted(self.run.now, limit)
            return (
                compare(value, moment.isoformat(timespec="seconds")[: max(10, len(value))])
                if moment is not None
                else None
            )
        return compare(value, limit)

    def check_constraints(
        self, item: Item, rows: Iterable[Constraint], profile: Profile, *, is_place: bool = False
    ) -> None:
        """Check invariants; those of a place see the resource of the place, also when the value is itself a resource."""
        from conformance.validation.expressions import holds

        scope = item.scope
        if is_place and scope.resource is item.value and scope.parent is not None:
            scope = scope.parent

        for row in rows:
            if not row.expression:
                continue
            try:
                is_met = holds(
                    row.expression,
                    item.table_path,
                    item.value,
                    scope,
                    self.run,
                    item.extra,
                    empty_is_met=False,
                )
            except FhirError as problem:
                self.report(
                    "HT-VAL-91", item.path, profile, "warning", key=row.key, problem=str(problem)[:200]
                )
                continue
            if not is_met:
                severity: Severity = "error" if row.severity == "error" else "warning"
                words = {"human": row.human} | ({"human_zh": row.human_zh} if row.human_zh else {})
                self.run.report(
                    "HT-VAL-30", item.path, severity, key=row.key, expression=row.expression, **words
                )

    def _type_profiles(self, item: Item, rule: Rule, profile: Profile) -> None:
        """A value conforms to one of the profiles that its type is declared with; a reference's target likewise."""
        refs = [ref for ref in rule.types if ref.code == item.type or is_subtype(item.type, ref.code)]
        profiles = [url for ref in refs for url in ref.profiles]
        if profiles:
            self._any_of(item, profiles, profile)
        targets = [url for ref in refs for url in ref.targets]
        if item.type == "Reference" and targets:
            self._target(item, targets, profile)

    def _any_of(self, item: Item, urls: list[str], profile: Profile) -> None:
        known = [found for url in urls if (found := self.run.registry.profile(url)) is not None]
        if len(known) < len(urls):
            for url in urls:
                if self.run.registry.profile(url) is None:
                    self.run.report("HT-VAL-80", item.path, "warning", url=url[:200])
            return
        if len(known) == 1:
            self.check(item, known[0])
        elif not any(self.conforms(item, url) for url in urls):
            self.report("HT-VAL-92", item.path, profile, urls=", ".join(urls))

    def _target(self, item: Item, urls: list[str], profile: Profile) -> None:
        text = item.value.get("reference")
        found = resolve(text, item.scope, self.run) if isinstance(text, str) else []
        types = {
            known.type if (known := self.run.registry.profile(url)) is not None else None for url in urls
        }
        kind = found[0].type if found else _type_in(text, item.value.get("type"))
        if kind is not None and None not in types and "Resource" not in types and kind not in types:
            self.report(
                "HT-VAL-93",
                item.path,
                profile,
                type=kind,
                targets=", ".join(sorted(str(row) for row in types)),
            )
        elif len(found) == 1:
            target = item_of(found[0].resource, found[0].path, found[0])
            if not any(self.conforms(target, url) for url in urls):
                self.report("HT-VAL-94", item.path, profile, reference=str(text)[:200], urls=", ".join(urls))

    def _slices(self, holder: Item, items: list[Item], rule: Rule, profile: Profile) -> None:
        slicing = slicing_of(rule)
        if slicing is None:
            key = ("no discriminator", profile.url, rule.path)
            if key not in self.run.memory:
                self.run.memory[key] = True
                self.report("HT-VAL-140", holder.path, profile, "warning", element=rule.path)
            return
        counts = dict.fromkeys(rule.slices, 0)
        order = list(rule.slices)
        latest = -1
        members: dict[str, list[Item]] = {name: [] for name in rule.slices}
        for place, item in enumerate(items):
            names = [name for name, row in rule.slices.items() if is_in_slice(item, row, slicing, self)]
            if len(names) > 1:
                self.report("HT-VAL-130", item.path, profile, names=", ".join(names))
            for name in names:
                counts[name] += 1
                members[name].append(item)
            if not names:
                self._outside(item, rule, slicing.rules, profile)
            elif slicing.ordered:
                position = order.index(names[0])
                if position < latest:
                    self.report("HT-VAL-132", item.path, profile, name=names[0], after=order[latest])
                latest = max(latest, position)
            if (
                slicing.rules == "openAtEnd"
                and names
                and any(
                    not any(is_in_slice(other, row, slicing, self) for row in rule.slices.values())
                    for other in items[:place]
                )
            ):
                self.report("HT-VAL-133", item.path, profile, name=names[0])
        for name, row in rule.slices.items():
            self._slice(holder, name, row, members[name], profile)

    def _outside(self, item: Item, rule: Rule, rules: str, profile: Profile) -> None:
        if rules == "closed":
            self.report("HT-VAL-131", item.path, profile, element=rule.path, slices=", ".join(rule.slices))

    def _slice(self, holder: Item, name: str, rule: Rule, items: list[Item], profile: Profile) -> None:
        label = f"{rule.path}:{name}"
        if len(items) < rule.min:
            self.report("HT-VAL-134", holder.path, profile, element=label, min=rule.min, count=len(items))
        if rule.max is not None and len(items) > rule.max:
            self.report("HT-VAL-83", holder.path, profile, element=label, max=rule.max, count=len(items))
        for item in items:
            self.check_rule(item, rule, profile)
        if rule.slices:
            self._slices(holder, items, rule, profile)


def _bound_type(type_name: str) -> str:
    return "code" if is_primitive(type_name) else type_name


def _type_in(reference: Any, stated: Any) -> str | None:
    """Return the type that the text of a reference names: Patient/1, http://server/fhir/Patient/1."""
    from conformance.definitions import is_resource

    if isinstance(reference, str) and not reference.startswith(("#", "urn:")):
        parts = reference.partition("/_history/")[0].split("/")
        if len(parts) >= 2 and is_resource(parts[-2]):
            return parts[-2]
    return stated if isinstance(stated, str) else None


def _shown(value: Any) -> str:
    from terminology.fhirjson import encode

    return encode(value).decode()[:160] if isinstance(value, dict | list) else str(value)[:160]
