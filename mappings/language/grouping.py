"""Group the segments of a message as its map says, tolerant of what senders leave out or repeat.

The message structures of the standard are strict grammars that real messages break; a map names only where a group
begins and what it holds. A segment goes to the innermost open group that holds it, otherwise to the message.
"""

from collections.abc import Iterable, Mapping

from mappings.hl7v2.message import Segment
from mappings.language.document import GroupRule


class Group(dict[str, list[Segment]]):
    """Segments by name, and the groups inside by their dotted name. The message itself is the outermost group."""

    __slots__ = ("groups", "is_pending", "name")

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name
        self.groups: dict[str, list[Group]] = {}
        self.is_pending = False


class Grouping:
    """The groups of one map, as a table (open group, segment) → where it goes."""

    def __init__(self, rules: Mapping[str, GroupRule]) -> None:
        self.rules = rules
        self._moves: dict[str, dict[str, tuple[int, str, str]]] = {}

    def names(self, group: str) -> frozenset[str]:
        """Return the segments that belong to a group itself."""
        rule = self.rules[group]
        return frozenset((*rule.starts, *rule.before, *rule.holds))

    def group(self, segments: Iterable[Segment]) -> Group:
        """Return the tree of groups of a message."""
        root = Group()
        stack = [root]
        if not self.rules:
            for segment in segments:
                root.setdefault(segment.name, []).append(segment)
            return root
        moves = self._moves
        for segment in segments:
            name = segment.name
            if name[0] == "Z" and not self._knows(name):
                # A local segment between those of a group does not end the group.
                root.setdefault(name, []).append(segment)
                continue
            state = stack[-1].name
            try:
                depth, action, target = moves[state][name]
            except KeyError:
                depth, action, target = moves.setdefault(state, {})[name] = self._move(state, name)
            if action != "hold":
                # A group that so far has only segments that go before its start still waits for it.
                waiting = (
                    len(stack) > depth + 1
                    and (open_group := stack[depth + 1]).name == target
                    and open_group.is_pending
                    and (action == "start" or name not in open_group)
                )
                del stack[depth + (2 if waiting else 1) :]
                if not waiting:
                    new = Group(target)
                    stack[depth].groups.setdefault(target, []).append(new)
                    stack.append(new)
                stack[-1].is_pending = action == "before"
            else:
                del stack[depth + 1 :]
            owner = stack[-1]
            if name in owner:
                owner[name].append(segment)
            else:
                owner[name] = [segment]
        return root

    def _knows(self, name: str) -> bool:
        return any(name in (*rule.starts, *rule.before, *rule.holds) for rule in self.rules.values())

    def _move(self, state: str, name: str) -> tuple[int, str, str]:
        """Return depth of the owner's parent (or of the owner for "hold"), action, and the group that opens."""
        steps = state.split(".") if state else []
        for depth in range(len(steps), -1, -1):
            path = ".".join(steps[:depth])
            for child, rule in self.rules.items():
                if child.rpartition(".")[0] == path:
                    if name in rule.starts:
                        return depth, "start", child
                    if name in rule.before:
                        return depth, "before", child
            if path and name in self.rules[path].holds:
                return depth, "hold", path
        return 0, "hold", ""
