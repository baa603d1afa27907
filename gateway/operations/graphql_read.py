"""Walking resources along a GraphQL selection (https://hl7.org/fhir/R4/graphql.html)."""

from collections.abc import Iterable
from typing import Any

from graphql.language import (
    FieldNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql.utilities import value_from_ast_untyped

from conformance.definitions import children, is_resource
from gateway.rest.admit import ID
from gateway.rest.context import Context
from gateway.rest.request import Params, Request
from gateway.search.parse import parse
from gateway.store.protocol import SearchPage
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput, TooCostly

MOST_DEPTH = 16
MOST_READS = 2_000
# Arguments that steer a list, not filters on its items (graphql.html#list-nav).
STEERING = {"_count", "_offset", "fhirpath", "type", "optional"}


class Reader:
    """One query being answered. `reads` bounds how many resources it may touch."""

    def __init__(self, request: Request, context: Context, variables: Json) -> None:
        self.request = request
        self.context = context
        self.variables = variables
        self.fragments: dict[str, Any] = {}
        self.reads = 0

    def declare(self, operation: OperationDefinitionNode) -> None:
        """Fill in the defaults of the operation's variables."""
        for row in operation.variable_definitions or ():
            name = row.variable.name.value
            if name not in self.variables and row.default_value is not None:
                self.variables[name] = value_from_ast_untyped(row.default_value)

    async def run(self, operation: OperationDefinitionNode, root: Json | None) -> Json:
        """Return the data of the operation, on a resource or on the whole system."""
        if root is not None:
            return await self.object(root, str(root["resourceType"]), operation.selection_set, 0)
        found: Json = {}
        for field in self.fields(operation.selection_set, ""):
            self.put(found, field, await self.system_field(field))
        return found

    async def system_field(self, field: FieldNode) -> Any:
        name, arguments = field.name.value, self.arguments(field)
        if name == "__typename":
            return "Query"
        for suffix in ("Connection", "List"):
            kind = name.removesuffix(suffix)
            if name.endswith(suffix) and is_resource(kind):
                return await self.search(kind, arguments, field, paged=suffix == "Connection", depth=0)
        if not is_resource(name):
            raise InvalidInput("HT-REST-39", detail=f"no field {name[:80]} at system level")
        id = str(arguments.get("id", ""))
        if not ID.fullmatch(id):
            raise InvalidInput("HT-REST-39", detail=f"{name} needs the argument id")
        resource = await self.read(name, id)
        return None if resource is None else await self.object(resource, name, field.selection_set, 0)

    async def object(self, node: Json, path: str, selection: SelectionSetNode | None, depth: int) -> Json:
        """Return what the selection picks from an object whose elements are described at `path`."""
        if selection is None:
            raise InvalidInput("HT-REST-39", detail=f"{path} needs a selection of fields")
        if depth > MOST_DEPTH:
            raise TooCostly("HT-REST-38", limit=MOST_DEPTH)
        found: Json = {}
        described = children(path)
        for field in self.fields(selection, str(node.get("resourceType", path))):
            name = field.name.value
            if name == "__typename":
                value: Any = node.get("resourceType", path)
            elif name == "resourceType":
                value = node.get("resourceType")
            elif name == "resource" and path == "Reference":
                value = await self.follow(node, field, depth)
            elif name.endswith("List") and is_resource(name.removesuffix("List")) and "resourceType" in node:
                value = await self.reverse(node, name.removesuffix("List"), field, depth)
            elif name in described:
                value = await self.element(
                    node, field, described[name].path, depth, is_list=described[name].element.repeats
                )
            else:
                raise InvalidInput("HT-REST-39", detail=f"{path} has no field {name[:80]}")
            self.put(found, field, value)
        return found

    async def element(self, node: Json, field: FieldNode, path: str, depth: int, *, is_list: bool) -> Any:
        held = node.get(field.name.value)
        if held is None:
            return None
        items = self.filtered(held if isinstance(held, list) else [held], field, path)
        if field.selection_set is None:
            if any(isinstance(item, dict) for item in items):
                raise InvalidInput("HT-REST-39", detail=f"{field.name.value} needs a selection of fields")
            values: list[Any] = items
        else:
            values = [
                await self.object(item, str(item.get("resourceType", path)), field.selection_set, depth + 1)
                for item in items
                if isinstance(item, dict)
            ]
        return values if is_list else (values[0] if values else None)

    def filtered(self, items: list[Any], field: FieldNode, path: str) -> list[Any]:
        """Return the items that the field's arguments keep (graphql.html#list-nav)."""
        arguments = self.arguments(field)
        for name, wanted in arguments.items():
            if name == "fhirpath":
                items = [item for item in items if _holds(str(wanted), item)]
            elif name not in STEERING:
                if name not in children(path):
                    raise InvalidInput("HT-REST-39", detail=f"{path} has no field {name[:80]} to filter by")
                items = [item for item in items if isinstance(item, dict) and _has(item.get(name), wanted)]
        offset, count = arguments.get("_offset", 0), arguments.get("_count")
        if (
            not isinstance(offset, int)
            or offset < 0
            or not (count is None or (isinstance(count, int) and count >= 0))
        ):
            raise InvalidInput("HT-REST-39", detail="_offset and _count are whole numbers")
        return items[offset : offset + count if count is not None else None]

    async def follow(self, reference: Json, field: FieldNode, depth: int) -> Any:
        """Return the resource of a Reference; null when it isn't here or is of another type than asked."""
        parts = str(reference.get("reference", "")).removeprefix(f"{self.request.base}/").split("/")
        wanted = self.arguments(field).get("type")
        if len(parts) < 2 or not is_resource(parts[0]) or (wanted is not None and wanted != parts[0]):
            return None
        resource = await self.read(parts[0], parts[1])
        if resource is None or not self.concerns(field.selection_set, parts[0]):
            return None
        return await self.object(resource, parts[0], field.selection_set, depth + 1)

    def concerns(self, selection: SelectionSetNode | None, kind: str) -> bool:
        return selection is not None and any(True for _ in self.fields(selection, kind))

    async def reverse(self, node: Json, kind: str, field: FieldNode, depth: int) -> Any:
        """Return the resources that refer to this one by the search parameter in `_reference`."""
        arguments = self.arguments(field)
        parameter = arguments.pop("_reference", None)
        if not isinstance(parameter, str):
            raise InvalidInput("HT-REST-39", detail=f"{kind}List needs the argument _reference here")
        arguments[parameter] = f"{node['resourceType']}/{node['id']}"
        return await self.search(kind, arguments, field, paged=False, depth=depth)

    async def search(self, kind: str, arguments: Json, field: FieldNode, *, paged: bool, depth: int) -> Any:
        params: Params = []
        for name, value in arguments.items():
            for item in value if isinstance(value, list) else [value]:
                # graphql.html#searching: "-" cannot stand in a GraphQL name, "_" is written instead.
                params.append((_parameter(name, kind, self.context), _text(item)))
        if paged:
            params.append(("_total", "accurate"))
        query = parse(
            kind,
            params,
            strict=True,
            parameters=self.context.parameters,
            terminology=self.context.codes,
            default_count=self.context.limits.default_page,
            max_count=self.context.limits.page,
        )
        page = await self.context.store.search(query)
        self.count(len(page.matches))
        resources = [decode_resource(version.body or b"{}") for version in page.matches]
        if not paged:
            return [await self.object(one, kind, field.selection_set, depth + 1) for one in resources]
        return await self.connection(page, resources, kind, field, depth)

    async def connection(
        self, page: SearchPage, resources: list[Json], kind: str, field: FieldNode, depth: int
    ) -> Json:
        """graphql.html#searching: count, offset, pagesize, first, previous, next, last, edges {mode, score, resource}."""
        found: Json = {}
        if field.selection_set is None:
            raise InvalidInput("HT-REST-39", detail=f"{kind}Connection needs a selection of fields")
        known: Json = {
            "count": page.total,
            "pagesize": len(resources),
            "next": page.cursor,
            "previous": page.previous,
        }
        known |= {"offset": None, "first": None, "last": None, "__typename": f"{kind}Connection"}
        for inner in self.fields(field.selection_set, ""):
            name = inner.name.value
            if name == "edges" and inner.selection_set is not None:
                value: Any = [await self.edge(one, kind, inner.selection_set, depth) for one in resources]
            elif name in known:
                value = known[name]
            else:
                raise InvalidInput("HT-REST-39", detail=f"{kind}Connection has no field {name[:80]}")
            self.put(found, inner, value)
        return found

    async def edge(self, resource: Json, kind: str, selection: SelectionSetNode, depth: int) -> Json:
        found: Json = {}
        for inner in self.fields(selection, ""):
            name = inner.name.value
            if name == "resource":
                value: Any = await self.object(resource, kind, inner.selection_set, depth + 1)
            elif name in ("mode", "score"):
                value = "match" if name == "mode" else None
            else:
                raise InvalidInput("HT-REST-39", detail=f"an edge has no field {name[:80]}")
            self.put(found, inner, value)
        return found

    async def read(self, kind: str, id: str) -> Json | None:
        self.count(1)
        version = await self.context.store.read(kind, id)
        return decode_resource(version.body) if version is not None and version.body is not None else None

    def count(self, more: int) -> None:
        self.reads += more
        if self.reads > MOST_READS:
            raise TooCostly("HT-REST-36", limit=MOST_READS)

    def fields(
        self, selection: SelectionSetNode, kind: str, seen: tuple[str, ...] = ()
    ) -> Iterable[FieldNode]:
        """Yield the fields of a selection, fragments opened where their type fits, @skip and @include obeyed."""
        for node in selection.selections:
            if not self.is_wanted(node):
                continue
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                if (
                    condition is None
                    or not kind
                    or condition.name.value in (kind, "Resource", "DomainResource")
                ):
                    yield from self.fields(node.selection_set, kind, seen)
            elif isinstance(node, FragmentSpreadNode):
                name = node.name.value
                fragment = self.fragments.get(name)
                if fragment is None or name in seen:
                    raise InvalidInput(
                        "HT-REST-39", detail=f"fragment {name[:80]} is missing or contains itself"
                    )
                if not kind or fragment.type_condition.name.value in (kind, "Resource", "DomainResource"):
                    yield from self.fields(fragment.selection_set, kind, (*seen, name))

    def is_wanted(self, node: Any) -> bool:
        for directive in node.directives or ():
            if directive.name.value in ("skip", "include"):
                arguments = {row.name.value: self.value(row.value) for row in directive.arguments or ()}
                if bool(arguments.get("if")) == (directive.name.value == "skip"):
                    return False
        return True

    def arguments(self, field: FieldNode) -> Json:
        return {row.name.value: self.value(row.value) for row in field.arguments or ()}

    def value(self, node: Any) -> Any:
        return value_from_ast_untyped(node, self.variables)

    def put(self, found: Json, field: FieldNode, value: Any) -> None:
        """Put a field's value into the answer, bent by its directives (graphql.html#flatten)."""
        names = {row.name.value: row for row in field.directives or ()}
        if value is None and "flatten" not in names:
            return
        if "slice" in names and isinstance(value, list):
            raise InvalidInput("HT-REST-39", detail="@slice is not supported, use aliases")
        if "first" in names and isinstance(value, list):
            value = value[:1]
        if "flatten" in names:
            for item in value if isinstance(value, list) else [value] if isinstance(value, dict) else []:
                for key, inner in item.items():
                    into = found.setdefault(key, [])
                    into.extend(inner if isinstance(inner, list) else [inner])
            return
        if "singleton" in names and isinstance(value, list):
            value = value[0] if value else None
        found[field.alias.value if field.alias else field.name.value] = value


def _has(held: Any, wanted: Any) -> bool:
    if isinstance(held, list):
        return any(_has(item, wanted) for item in held)
    return held is not None and _text(held) == _text(wanted)


def _holds(expression: str, item: Any) -> bool:
    from conformance.fhirpath import evaluate

    return evaluate(expression, item) == [True]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _parameter(name: str, kind: str, context: Context) -> str:
    if context.parameters.get(kind, name) is None and not name.startswith("_"):
        return name.replace("_", "-")
    return name
