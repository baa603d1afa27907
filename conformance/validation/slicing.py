"""Slicing: which slice of a repeating or choice element is a value in? (https://hl7.org/fhir/R4/profiling.html#slicing)"""

from typing import TYPE_CHECKING

from conformance.definitions import Discriminator, Slicing, is_subtype
from conformance.validation.items import Item, follow, steps
from conformance.validation.profile_rule import Profile, Rule, has_work
from conformance.validation.run import Run

if TYPE_CHECKING:
    from conformance.validation.profiles import Checker

EXTENSION_SLICING = Slicing([Discriminator("value", "url")], "open", False)
TYPE_SLICING = Slicing([Discriminator("type", "$this")], "open", False)


def slicing_of(rule: Rule) -> Slicing | None:
    """Return how the element is sliced; None when nothing says by what its slices differ."""
    if rule.slicing is not None and rule.slicing.discriminators:
        return rule.slicing
    rules = rule.slicing.rules if rule.slicing is not None else "open"
    is_ordered = rule.slicing.ordered if rule.slicing is not None else False
    if rule.name in ("extension", "modifierExtension"):
        return Slicing(EXTENSION_SLICING.discriminators, rules, is_ordered)
    if rule.name.endswith("[x]"):
        return Slicing(TYPE_SLICING.discriminators, rules, is_ordered)
    return None


def is_in_slice(item: Item, rule: Rule, slicing: Slicing, check: "Checker") -> bool:
    """Tell whether an item belongs to a slice: every discriminator agrees."""
    return all(_agrees(item, rule, row, check) for row in slicing.discriminators)


def _agrees(item: Item, rule: Rule, row: Discriminator, check: "Checker") -> bool:
    path = steps(row.path)
    if (
        row.path == "url"
        and rule.name in ("extension", "modifierExtension")
        and (urls := _profile_urls(rule))
    ):
        return isinstance(item.value, dict) and item.value.get("url") in urls
    places = [place for place in rules_at(rule, path, check.run) if has_work(place)]
    found = follow(item, path, check.run)
    if not places:
        # The slice says nothing at that path: the discriminator cannot keep anything out.
        return True
    if row.type == "exists":
        return any(_exists_agrees(place, bool(found)) for place in places)
    if row.type == "type":
        return bool(found) and any(_type_agrees(one, place, path) for place in places for one in found)
    if row.type == "profile":
        return bool(found) and any(
            _profile_agrees(one, place, path, check) for place in places for one in found
        )
    if not found:
        return any(place.max == 0 for place in places)
    return any(check.fits(one, place) for place in places for one in found)


def _exists_agrees(place: Rule, is_present: bool) -> bool:
    if place.max == 0:
        return not is_present
    return is_present if place.min else True


def _type_agrees(item: Item, place: Rule, path: list[tuple[str, str]]) -> bool:
    if path and path[-1][0] == "resolve":
        return any(_names_type(target, item.type) for ref in place.types for target in ref.targets) or any(
            ref.code == item.type for ref in place.types
        )
    return any(ref.code == item.type or is_subtype(item.type, ref.code) for ref in place.types)


def _names_type(url: str, type_name: str) -> bool:
    return url.partition("|")[0].rpartition("/")[2] == type_name


def _profile_agrees(item: Item, place: Rule, path: list[tuple[str, str]], check: "Checker") -> bool:
    urls = [
        url
        for ref in place.types
        for url in (ref.targets if path and path[-1][0] == "resolve" else ref.profiles)
    ]
    return any(check.conforms(item, url) for url in urls)


def _profile_urls(rule: Rule) -> set[str]:
    if (child := rule.children.get("url")) is not None and child.value is not None:
        return {str(child.value[1])}
    return {url.partition("|")[0] for ref in rule.types for url in ref.profiles}


def rules_at(rule: Rule, path: list[tuple[str, str]], run: Run) -> list[Rule]:
    """Return what a slice says at a discriminator path, going through the profiles of types where the tree ends."""
    current = [rule]
    for kind, argument in path:
        after: list[Rule] = []
        for one in current:
            if kind in ("resolve", "type"):
                after.append(_narrowed(one, argument) if kind == "type" else one)
            elif kind == "extension":
                after.extend(_extension_rules(one, argument))
            elif (child := _child(one, argument)) is not None:
                after.append(child)
                # A blood pressure's component.code.coding:SBPCode.code: a slice further down says what the value is.
                after.extend(child.slices.values())
            else:
                after.extend(_through_profiles(one, argument, run))
        current = after
    return current


def _child(rule: Rule, name: str) -> Rule | None:
    found = rule.children.get(name) or rule.children.get(name + "[x]")
    if found is None or found.value is not None or not found.slices or found.name.endswith("[x]") is False:
        return found
    # value[x] with one type slice: that slice is what the discriminator means.
    return next(iter(found.slices.values())) if len(found.slices) == 1 else found


def _narrowed(rule: Rule, type_name: str) -> Rule:
    for one in rule.slices.values():
        if any(ref.code == type_name for ref in one.types):
            return one
    return rule


def _extension_rules(rule: Rule, url: str) -> list[Rule]:
    child = rule.children.get("extension")
    return [one for one in child.slices.values() if url in _profile_urls(one)] if child is not None else []


def _through_profiles(rule: Rule, name: str, run: Run) -> list[Rule]:
    found: list[Rule] = []
    for ref in rule.types:
        for url in (*ref.profiles, *ref.targets):
            profile: Profile | None = run.registry.profile(url)
            child = _child(profile.root, name) if profile is not None else None
            if child is not None and (child.own or child.value is not None):
                found.append(child)
    return found
