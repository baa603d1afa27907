"""From tree to closures, with types known ahead where the model tells them.

`evaluate(run)` closures start from `$this`; steps take the collection before them. What the static types prove wrong is
refused here (HT-FP-02 … HT-FP-10), before any resource is seen.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from conformance import definitions
from conformance.fhirpath.compare import single
from conformance.fhirpath.host import Run
from conformance.fhirpath.model import Node, Type, TypeInfo, type_at, type_of
from conformance.fhirpath.operators import OPERATORS, negate, type_test
from conformance.fhirpath.path import member_step
from conformance.fhirpath.registry import FUNCTIONS, Evaluate, Kind, Step
from conformance.fhirpath.shape import INTEGER, NOTHING, STRING, UNKNOWN, Shape
from conformance.fhirpath.tree import (
    Call,
    Chain,
    Empty,
    Expression,
    Indexer,
    Literal,
    Member,
    Operation,
    Polarity,
    Special,
    TypeName,
    Variable,
)
from terminology.issues import InvalidInput

TYPE_LEVEL, UNION_LEVEL = 8, 7

# Environment variables that every evaluation has (https://hl7.org/fhir/R4/fhirpath.html#variables).
CONSTANTS = {
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "ucum": "http://unitsofmeasure.org",
}
RESERVED = frozenset(
    {"context", "resource", "rootResource", "terminologies", "factory", "server", *CONSTANTS}
)


@dataclass(frozen=True)
class Scope:
    """What a part of an expression sees: the type of `$this`, of `$total`, and variables by name → (slot, type).

    `variables` is shared along a chain (a definition is seen by the steps after it) and copied for everything inside.
    `is_branch`: inside a union, where a path that starts at another resource type is merely empty. `tests_type`: the
    result is only asked for its type.
    """

    this: Shape
    variables: dict[str, tuple[int, Shape]] = field(default_factory=dict)
    total: Shape | None = None
    is_branch: bool = False
    tests_type: bool = False

    def inside(self, this: Shape | None = None, **changes: Any) -> "Scope":
        return replace(
            self,
            this=this or self.this,
            variables=dict(self.variables),
            is_branch=False,
            tests_type=False,
            **changes,
        )


class Site:
    """A function call while it is compiled: its input, its arguments, its place."""

    def __init__(
        self, compiler: "Compiler", scope: Scope, call: Call, given: Shape, *, is_first: bool
    ) -> None:
        self.compiler = compiler
        self.scope = scope
        self.call = call
        self.input = given
        self.is_first = is_first

    @property
    def count(self) -> int:
        return len(self.call.arguments)

    def argument(self, place: int) -> tuple[Evaluate, Shape]:
        """Compile an argument that is evaluated once, where the whole call stands."""
        return self.compiler.compile(self.call.arguments[place], self.scope.inside())

    def body(self, place: int, this: Shape, total: Shape | None = None) -> tuple[Evaluate, Shape]:
        """Compile an argument that is evaluated for each item as `$this`."""
        scope = self.scope.inside(this.with_many(False), total=total or self.scope.total)
        return self.compiler.compile(self.call.arguments[place], scope)

    def branch(self, place: int) -> tuple[Evaluate, Shape]:
        """Compile an argument that is evaluated once with the whole input as `$this` (iif)."""
        this = self.scope.this if self.is_first else self.input
        return self.compiler.compile(self.call.arguments[place], self.scope.inside(this))

    def sort_key(self, place: int) -> Evaluate:
        """Compile the operand of a turned sort key: `-family` sorts by family, downwards."""
        node = self.call.arguments[place]
        assert isinstance(node, Polarity)
        scope = self.scope.inside(self.input.with_many(False))
        return self.compiler.compile(node.operand, scope)[0]

    def type_argument(self, place: int = 0) -> tuple[str | None, str]:
        """Read an argument that is a type name."""
        node = self.call.arguments[place]
        if isinstance(node, Member):
            return self.compiler.type_name(TypeName(node.name, node.at))
        if (
            isinstance(node, Chain)
            and isinstance(node.head, Member)
            and all(isinstance(row, Member) for row in node.steps)
        ):
            name = ".".join((node.head.name, *(row.name for row in node.steps)))  # type: ignore[union-attr]  # all are members
            return self.compiler.type_name(TypeName(name, node.at))
        if isinstance(node, Literal) and isinstance(node.value, str):
            return self.compiler.type_name(TypeName(node.value, node.at))
        raise InvalidInput("HT-FP-06", name="…", position=self.call.at)

    def check_input(self, kind: Kind | None) -> None:
        """Refuse an input whose possible types all lie outside what the function takes."""
        if kind is None or not self.compiler.is_strict or not self.input.types:
            return
        if not any(row.is_any or kind.allows(row) for row in self.input.types):
            raise InvalidInput(
                "HT-FP-07", function=f"{self.call.name}()", expected=kind.name, found=self.input.names
            )

    def check_input_is_element(self) -> None:
        """Refuse a System value where an element is needed."""
        types = self.input.types
        if self.compiler.is_strict and types and all(row.namespace == "System" for row in types):
            raise InvalidInput(
                "HT-FP-07", function=f"{self.call.name}()", expected="Element", found=self.input.names
            )

    def check_single(self) -> None:
        """Refuse an input that is certainly several items."""
        if self.input.least > 1:
            raise InvalidInput("HT-FP-09", function=f"{self.call.name}()", found=self.input.names)

    def check_single_condition(self, shape: Shape) -> None:
        """Refuse a condition made of several literals."""
        if self.compiler.is_strict and shape.least > 1:
            raise InvalidInput("HT-FP-09", function=f"{self.call.name}()", found=shape.names)

    def check_order(self) -> None:
        """Refuse to pick by position from a collection without order (children(), descendants())."""
        if self.compiler.is_strict and not self.input.is_ordered:
            raise InvalidInput("HT-FP-08", function=f"{self.call.name}()", position=self.call.at)


class Compiler:
    """Compiles one expression. `root` is the type of the value it will run on; None leaves everything to run time."""

    def __init__(self, root: Type | None, *, is_strict: bool) -> None:
        self.root = root
        self.is_strict = is_strict and root is not None
        self.slots = 0

    def compile(self, node: Expression, scope: Scope) -> tuple[Evaluate, Shape]:
        if isinstance(node, Literal):
            constant = [node.value]
            return lambda run: constant, _shape_of(node.value)
        if isinstance(node, Operation):
            return self._operation(node, scope)
        if isinstance(node, Chain):
            return self._chain(node, scope)
        if isinstance(node, Member | Call):
            step, shape = self._head(node, scope)
            return lambda run: step(run.this, run), shape
        if isinstance(node, Special):
            return self._special(node, scope)
        if isinstance(node, Variable):
            return self._variable(node, scope)
        if isinstance(node, Polarity):
            operand, shape = self.compile(node.operand, scope.inside())
            return (negate(operand) if node.sign == "-" else operand), shape
        assert isinstance(node, Empty)
        return lambda run: [], NOTHING

    def new_slot(self) -> int:
        self.slots += 1
        return self.slots

    def is_reserved(self, name: str) -> bool:
        """Tell whether the name belongs to the environment."""
        return name in RESERVED or name.startswith(("vs-", "ext-"))

    def type_name(self, name: TypeName) -> tuple[str | None, str]:
        """Return (namespace, name) of an existing type. Raises InvalidInput HT-FP-06."""
        namespace, _, plain = name.name.rpartition(".")
        if namespace in ("", "FHIR") and (plain in definitions.type_names()):
            return namespace or None, plain
        if namespace in ("", "System") and plain in SYSTEM_NAMES:
            return namespace or None, plain
        # `Patient.is(System.Patient).not()`: a type of the other model is a name that nothing has.
        if namespace == "System" and plain in definitions.type_names():
            return namespace, plain
        raise InvalidInput("HT-FP-06", name=name.name, position=name.at)

    def _chain(self, node: Chain, scope: Scope) -> tuple[Evaluate, Shape]:
        is_tested = isinstance(node.steps[0], Call) and node.steps[0].name == "is"
        head, shape = self.compile(node.head, replace(scope, tests_type=is_tested))
        steps: list[Step] = []
        for place, row in enumerate(node.steps):
            after = node.steps[place + 1] if place + 1 < len(node.steps) else None
            is_tested = isinstance(after, Call) and after.name == "is"
            step, shape = self._step(row, shape, replace(scope, tests_type=True) if is_tested else scope)
            shape = replace(shape, least=0) if shape.least else shape
            steps.append(step)
        if len(steps) == 1:
            (only,) = steps
            return lambda run: only(head(run), run), shape
        if len(steps) == 2:
            first, second = steps
            return lambda run: second(first(head(run), run), run), shape

        def evaluate(run: Run) -> list[Any]:
            items = head(run)
            for step in steps:
                items = step(items, run)
            return items

        return evaluate, shape

    def _step(self, row: Member | Call | Indexer, given: Shape, scope: Scope) -> tuple[Step, Shape]:
        if isinstance(row, Member):
            return member_step(self, given, row.name, row.at)
        if isinstance(row, Call):
            return self._call(row, given, scope, is_first=False)
        if self.is_strict and not given.is_ordered:
            raise InvalidInput("HT-FP-08", function="[ ]", position=row.at)
        index, _ = self.compile(row.index, scope.inside())
        return _indexer(index), given.with_many(False)

    def _head(self, node: Member | Call, scope: Scope) -> tuple[Step, Shape]:
        """The first invocation of a chain; a type name here says where the path starts."""
        this = scope.this
        if isinstance(node, Call):
            return self._call(node, this, scope, is_first=True)
        is_type = node.name[:1].isupper() and node.name in definitions.type_names()
        if not is_type or (this.types and any(node.name in row.members for row in this.types)):
            return member_step(self, this, node.name, node.at)
        name = node.name
        if this.types is not None and not any(row.is_any for row in this.types):
            if all(row.is_a(None, name) for row in this.types):
                return lambda items, run: items, this
            if not any(row.is_a(None, name) for row in this.types):
                if self.is_strict and not scope.is_branch:
                    raise InvalidInput("HT-FP-03", name=name, type=this.names, position=node.at)
                return lambda items, run: [], NOTHING
        found = type_at(name)
        assert found is not None
        return (
            lambda items, run: [item for item in items if type_of(item).is_a("FHIR", name)],
            Shape(frozenset({found}), is_many=this.is_many, is_ordered=this.is_ordered),
        )

    def _call(self, node: Call, given: Shape, scope: Scope, *, is_first: bool) -> tuple[Step, Shape]:
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise InvalidInput("HT-FP-04", name=node.name, position=node.at)
        if not function.least <= len(node.arguments) <= function.most:
            expected = (
                f"{function.least}"
                if function.least == function.most
                else f"{function.least}–{function.most}"
            )
            raise InvalidInput("HT-FP-05", name=node.name, expected=expected, found=len(node.arguments))
        return function.build(Site(self, scope, node, given, is_first=is_first))

    def _operation(self, node: Operation, scope: Scope) -> tuple[Evaluate, Shape]:
        is_union = node.level == UNION_LEVEL
        inner = scope.inside()
        branch = replace(inner, is_branch=True) if is_union or scope.is_branch else inner
        tests_type = node.level == TYPE_LEVEL and node.rest[0][0] == "is"
        first = self.compile(
            node.first, replace(branch, variables=dict(scope.variables), tests_type=tests_type)
        )
        rest: list[tuple[str, Any]] = []
        for operator, operand, _ in node.rest:
            if isinstance(operand, TypeName):
                rest.append((operator, self.type_name(operand)))
            else:
                rest.append(
                    (operator, self.compile(operand, replace(branch, variables=dict(scope.variables))))
                )
        if node.level == TYPE_LEVEL:
            evaluate, shape = first
            for operator, target in rest:
                evaluate, shape = type_test(operator, evaluate, shape, target)
            return evaluate, shape
        if is_union and not scope.is_branch and self.is_strict:
            self._check_branches(node, [first[1], *(row[1][1] for row in rest)], scope)
        evaluate, shape = OPERATORS[node.level](first, rest)
        if is_union:
            literals = {
                repr(row.value)
                for row in (node.first, *(row[1] for row in node.rest))
                if isinstance(row, Literal)
            }
            shape = replace(shape, least=len(literals))
        return evaluate, shape

    def _check_branches(self, node: Operation, shapes: list[Shape], scope: Scope) -> None:
        """Refuse a union of which no branch starts at the type at hand (an empty branch alone is fine)."""
        operands = [node.first, *(row[1] for row in node.rest)]
        starts = [_type_start(operand) for operand in operands]
        if all(starts) and all(shape.types == frozenset() for shape in shapes):
            raise InvalidInput("HT-FP-03", name=starts[0], type=scope.this.names, position=node.at)

    def _special(self, node: Special, scope: Scope) -> tuple[Evaluate, Shape]:
        if node.name == "this":
            return lambda run: run.this, scope.this
        if node.name == "index":
            return lambda run: [] if run.index is None else [run.index], INTEGER
        if scope.total is None:
            raise InvalidInput("HT-FP-10", name="$total", position=node.at)
        return lambda run: run.total, scope.total

    def _variable(self, node: Variable, scope: Scope) -> tuple[Evaluate, Shape]:
        name = node.name
        defined = scope.variables.get(name)
        if defined is not None:
            slot, shape = defined
            return lambda run: run.slots[slot], shape
        if name in CONSTANTS or name.startswith(("vs-", "ext-")):
            return _constant(name), STRING
        shape = UNKNOWN
        if name == "context" and self.root is not None:
            shape = Shape(frozenset({self.root}))
        elif name == "resource" and self.root is not None:
            holder = type_at(self.root.path.partition(".")[0])
            if holder is not None and holder.is_resource:
                shape = Shape(frozenset({holder}))
        elif name == "terminologies":
            service = [TypeInfo("System", "Terminologies")]
            return lambda run: service, UNKNOWN

        def evaluate(run: Run) -> list[Any]:
            found = run.variable(name)
            if found is None:
                raise InvalidInput("HT-FP-10", name=f"%{name}", position=node.at)
            return found

        return evaluate, shape


SYSTEM_NAMES = frozenset(
    {"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity", "Any"}
)


def _type_start(node: Expression | TypeName) -> str:
    """The type name that a path starts with, "" for none."""
    head = node.head if isinstance(node, Chain) else node
    return head.name if isinstance(head, Member) and head.name in definitions.type_names() else ""


def _shape_of(value: Any) -> Shape:
    return Shape(frozenset({type_of(value)}))


def _constant(name: str) -> Evaluate:
    """%vs-name and %ext-name stand for the canonical URLs of HL7 (https://hl7.org/fhir/R4/fhirpath.html#variables)."""
    if name.startswith("vs-"):
        built_in = f"http://hl7.org/fhir/ValueSet/{name[3:]}"
    elif name.startswith("ext-"):
        built_in = f"http://hl7.org/fhir/StructureDefinition/{name[4:]}"
    else:
        built_in = CONSTANTS[name]
    constant = [built_in]
    return lambda run: run.variable(name) or constant


def _indexer(index: Evaluate) -> Step:
    def step(items: list[Any], run: Run) -> list[Any]:
        place = single(index(run), "[ ]")
        value = place.value if isinstance(place, Node) else place
        if value is None:
            return []
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidInput(
                "HT-FP-07", function="[ ]", expected="Integer", found=str(type_of(place).label)
            )
        return [items[value]] if 0 <= value < len(items) else []

    return step
