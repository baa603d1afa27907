"""Shorten generated code: what only reads fields that are taken as empty is worked out beforehand.

The code is that of `mappings/language/generate.py`; the folding knows its shapes (f1: the fields of a segment, e1 and v1:
texts read once, l1 and o1: lists and objects being filled, c1: converters) and leaves alone what it does not know.
"""

import ast
import re
from typing import Any

_HEADERS = ("MSH", "FHS", "BHS")
_ONCE = re.compile(r"(e|v)\d+|ref_\w+|refs_\w+")
_COLLECTED = re.compile(r"(l|o)\d+|refs_\w+|out_\w+")
_CONVERTER = re.compile(r"c\d+")
_PASSES = 8
_EMPTY = {"as_text": "", "first": "", "repetition": "", "part": "", "text": ""}
# The variable of a whole row or JSON body.
_ROW = "g0"


def shortened(code: str, filled: dict[str, frozenset[int]], *, of_rows: bool = False) -> Any:
    """Return compiled code of `build(b)` in which fields outside of `filled` (segment → numbers) are empty.

    `of_rows`: `filled` has the keys of a row instead.
    """
    tree = ast.parse(code)
    build = tree.body[0]
    assert isinstance(build, ast.FunctionDef)
    run = next(node for node in build.body if isinstance(node, ast.FunctionDef))
    folding = _Folding(filled, of_rows=of_rows)
    folding.read_variables(run)
    before = 0
    for _ in range(_PASSES):
        names = folding.read_facts(run)
        if names == before:
            break
        before = names
        folding.visit(run)
    used = {node.id for node in ast.walk(run) if isinstance(node, ast.Name)}
    build.body = [
        node
        for node in build.body
        if not (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id not in used
        )
    ]
    return compile(ast.fix_missing_locations(tree), "<shortened map>", "exec")


class _Folding(ast.NodeTransformer):
    """One pass: empty fields become "", and what follows from them is worked out."""

    def __init__(self, filled: dict[str, frozenset[int]], *, of_rows: bool) -> None:
        self.filled = filled
        self.of_rows = of_rows
        self.segments: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self.empty: set[str] = set()
        self.keys: dict[str, set[str] | None] = {}
        self.loads: dict[str, int] = {}
        self.is_plain: dict[str, bool] = {}
        self.unused: set[str] = set()

    def read_variables(self, run: ast.FunctionDef) -> None:
        """Find which variable holds the fields of which segment."""
        loops: dict[str, str] = {}
        for node in ast.walk(run):
            if (
                isinstance(node, ast.For)
                and isinstance(node.target, ast.Name)
                and isinstance(node.iter, ast.Call)
            ):
                place = node.iter.args[0] if node.iter.args else None
                if isinstance(place, ast.Constant) and isinstance(place.value, str):
                    loops[node.target.id] = place.value
        for node in ast.walk(run):
            if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
                continue
            call, target = node.value, node.targets[0]
            if not isinstance(call.func, ast.Name) or not isinstance(target, ast.Name):
                continue
            if call.func.id == "take" and isinstance(call.args[1], ast.Constant):
                self.segments[target.id] = str(call.args[1].value)
            elif call.func.id == "fields" and isinstance(call.args[0], ast.Name):
                self.segments[target.id] = loops[call.args[0].id]

    def read_facts(self, run: ast.FunctionDef) -> int:
        """Find variables that are one constant, and lists and objects that nothing is put into.

        Return how many names the function has: when a pass takes none away, it was the last.
        """
        stores: dict[str, int] = {}
        first: dict[str, ast.expr] = {}
        self.loads, self.keys, self.is_plain = {}, {}, {}
        changed: set[str] = set()
        owners: dict[str, int] = {}
        for node in ast.walk(run):
            if isinstance(node, ast.Name):
                counts = self.loads if isinstance(node.ctx, ast.Load) else stores
                counts[node.id] = counts.get(node.id, 0) + 1
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                changed.add(node.value.id)
            elif isinstance(node, ast.Assign):
                target = node.targets[0]
                if isinstance(target, ast.Name):
                    first.setdefault(target.id, node.value)
                elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                    name, key = target.value.id, target.slice
                    changed.add(name)
                    owners[name] = owners.get(name, 0) + 1
                    known = self.keys.setdefault(name, set())
                    if known is not None and isinstance(key, ast.Constant):
                        known.add(str(key.value))
                    else:
                        self.keys[name] = None
                    is_plain = isinstance(node.value, (ast.Constant, ast.Name))
                    self.is_plain[name] = self.is_plain.get(name, True) and is_plain
        self.values = {
            name: value.value
            for name, value in first.items()
            if isinstance(value, ast.Constant) and stores[name] == 1 and _ONCE.fullmatch(name)
        }
        self.empty = {
            name
            for name, value in first.items()
            if isinstance(value, (ast.List, ast.Dict))
            and _is_bare(value)
            and stores[name] == 1
            and name not in changed
            and _COLLECTED.fullmatch(name)
        }
        # Objects that are filled and then not used.
        self.unused = {
            name
            for name, value in first.items()
            if isinstance(value, ast.Dict)
            and _is_bare(value)
            and _COLLECTED.fullmatch(name)
            and self.is_plain.get(name, True)
            and self.loads.get(name, 0) == owners.get(name, 0)
        }
        return sum(self.loads.values()) + sum(stores.values())

    # Expressions

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if (
            isinstance(node.ctx, ast.Load)
            and isinstance(node.value, ast.Name)
            and isinstance(node.slice, ast.Constant)
        ):
            name = self.segments.get(node.value.id)
            if name is not None and not self._may_be_filled(name, node.slice.value):
                return _constant("")
        self.generic_visit(node)
        return node

    def _may_be_filled(self, name: str, number: Any) -> bool:
        return number == 0 or (name in _HEADERS and number <= 2) or number in self.filled.get(name, ())

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self.values:
            return _constant(self.values[node.id])
        if isinstance(node.ctx, ast.Load) and node.id in self.empty:
            return ast.copy_location(ast.Tuple([], ast.Load()), node)
        return node

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.AST:
        node.value = self.visit(node.value)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        truth = _truth(node.test)
        if truth is None or (truth and isinstance(node.test, ast.NamedExpr)):
            return node
        return node.body if truth else node.orelse

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        ends = isinstance(node.op, ast.Or)
        values: list[ast.expr] = []
        for value in node.values:
            truth = _truth(value)
            if truth is None or isinstance(value, ast.NamedExpr):
                values.append(value)
            elif truth is ends:
                values.append(value)
                break
            elif value is node.values[-1]:
                values.append(value)
        if len(values) == 1:
            return values[0]
        node.values = values
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        truth = _truth(node.operand)
        return _constant(not truth) if isinstance(node.op, ast.Not) and truth is not None else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        left, operator, right = node.left, node.ops[0], node.comparators[0]
        if isinstance(left, ast.Constant) and isinstance(operator, ast.In) and isinstance(right, ast.Name):
            # A segment in a group of the message.
            return node if left.value in self.filled else _constant(False)
        if isinstance(left, ast.NamedExpr) and isinstance(left.value, ast.Constant):
            left = left.value
        if (
            isinstance(left, ast.Call)
            and isinstance(left.func, ast.Name)
            and left.func.id == "len"
            and isinstance(operator, ast.Gt)
            and isinstance(right, ast.Constant)
        ):
            return self._length(node, left.args[0], int(str(right.value)))
        try:
            one, other = ast.literal_eval(left), ast.literal_eval(right)
        except (ValueError, TypeError):
            return node
        match operator:
            case ast.Eq():
                return _constant(one == other)
            case ast.NotEq():
                return _constant(one != other)
            case ast.Is():
                return _constant(one is other)
            case ast.IsNot():
                return _constant(one is not other)
            case ast.In():
                return _constant(one in other)
            case ast.NotIn():
                return _constant(one not in other)
        return node

    def _length(self, node: ast.Compare, made: ast.expr, least: int) -> ast.AST:
        if isinstance(made, ast.Tuple):
            return _constant(len(made.elts) > least)
        keys = self.keys.get(made.id) if isinstance(made, ast.Name) else None
        return _constant(False) if keys is not None and len(keys) <= least else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute):
            if (
                node.func.attr == "get"
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.func.value, ast.Name)
                # Below a row lie items with keys of their own.
                and (node.func.value.id == _ROW or not self.of_rows)
                and node.args[0].value not in self.filled
            ):
                return ast.copy_location(ast.Tuple([], ast.Load()), node)
            return node
        if not isinstance(node.func, ast.Name) or not node.args:
            return node
        name, first = node.func.id, node.args[0]
        if _truth(first) is False and not isinstance(first, ast.NamedExpr):
            if name in _EMPTY:
                return _constant(_EMPTY[name])
            if name.startswith("text_"):
                return _constant("")
            if _CONVERTER.fullmatch(name):
                return _constant(None)
        if name == "joined" and isinstance(first, ast.Tuple) and isinstance(node.args[1], ast.Tuple):
            said = [
                part
                for part, counts in zip(first.elts, node.args[1].elts, strict=True)
                if isinstance(counts, ast.Constant) and counts.value and _truth(part) is not False
            ]
            return node if said else _constant("")
        return node

    # Statements

    def visit_If(self, node: ast.If) -> Any:
        node.test = self.visit(node.test)
        truth = _truth(node.test)
        if truth is False:
            return self._all(node.orelse)
        if truth is True and not isinstance(node.test, ast.NamedExpr):
            return self._all(node.body)
        node.body = self._all(node.body)
        node.orelse = self._all(node.orelse)
        if not node.body and not node.orelse and not _calls(node.test):
            return None
        node.body = node.body or [ast.Pass()]
        return node

    def _all(self, nodes: list[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for node in nodes:
            made = self.visit(node)
            found += made if isinstance(made, list) else [made] if made is not None else []
        return found

    def visit_For(self, node: ast.For) -> Any:
        node.iter = self.visit(node.iter)
        if isinstance(node.iter, ast.Tuple) and not node.iter.elts:
            return None
        node.body = self._all(node.body) or [ast.Pass()]
        return node

    def visit_Pass(self, node: ast.Pass) -> None:
        return None

    def visit_Assign(self, node: ast.Assign) -> Any:
        target = node.targets[0]
        if isinstance(target, ast.Name):
            name = target.id
            is_dead = name in self.empty or name in self.unused
            is_lazy = (name in self.segments or _ONCE.fullmatch(name)) and not self.loads.get(name)
            # Fields are read without a trace; a converter may tell something.
            if (is_dead or is_lazy) and not _converts(node.value):
                return None
        elif (
            isinstance(target, ast.Subscript)
            and isinstance(target.value, ast.Name)
            and target.value.id in self.unused
        ):
            return None
        node.value = self.visit(node.value)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        assert isinstance(node.value, ast.List)
        node.value.elts = [
            part
            for part in node.value.elts
            if not (
                isinstance(part, ast.Starred)
                and isinstance(part.value, ast.Name)
                and part.value.id in self.empty
            )
        ]
        return node


def _constant(value: Any) -> ast.Constant:
    return ast.Constant(value)


def _is_bare(value: ast.expr) -> bool:
    return not (
        value.elts if isinstance(value, ast.List) else value.keys if isinstance(value, ast.Dict) else True
    )


def _truth(node: ast.expr) -> bool | None:
    """Return what a test of the expression gives; None when only a message can tell."""
    if isinstance(node, ast.NamedExpr):
        node = node.value
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, ast.Tuple):
        return bool(node.elts)
    return None


def _converts(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Name) and _CONVERTER.fullmatch(part.id) for part in ast.walk(node))


def _calls(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Call) for part in ast.walk(node))
