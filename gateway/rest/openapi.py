"""The whole REST surface as OpenAPI 3.1, generated from what the server has (https://spec.openapis.org/oas/v3.1.0).

Types and elements come from the definitions, search parameters from the search registry, operations from theirs; what
is not registered is not described. Examples are smallest valid resources.
"""

from collections.abc import Iterable
from functools import lru_cache

from conformance.definitions import resource_types
from gateway.operations.registry import Level, Operation
from gateway.rest.capabilities import software_version
from gateway.rest.context import Context
from gateway.rest.example import minimal
from gateway.rest.openapi_components import (
    PRIMITIVES,
    fhirpath_patch_example,
    headers,
    parameters,
    schema,
    transaction_example,
)
from terminology.fhirjson import Json, encode

JSON, XML = "application/fhir+json", "application/fhir+xml"
SEARCH_TYPES = {
    "number": "数字 number: 5.4, gt5",
    "date": "日期 date: 2024-05, ge2024-05-01",
    "string": "字符串 string, 前缀匹配 by prefix",
    "token": "代码 token: system|code",
    "reference": "引用 reference: Patient/1",
    "composite": "复合 composite: a$b",
    "quantity": "数量 quantity: gt5.4|http://unitsofmeasure.org|mg",
    "uri": "URI",
    "special": "特殊 special",
}
ERRORS = {
    "400": "请求无法读取或参数有误 the request cannot be read",
    "404": "不存在 not found",
    "406": "不能以所需格式应答 no answer in that format",
    "409": "与其他写入冲突 conflict",
    "410": "已删除 deleted",
    "412": "前提条件不成立 a precondition failed",
    "413": "超过上限 over a limit",
    "415": "无法读取的请求体格式 a body of another type",
    "422": "资源不合规 the resource breaks a rule",
}


@lru_cache(maxsize=16)
def document(base: str, context: Context, revision: int, types: tuple[str, ...] = ()) -> bytes:
    """Return the OpenAPI document as JSON; `revision` is that of the search parameters, `types` narrows to some types."""
    assert revision >= 0
    return encode(describe(base, context, types))


def describe(base: str, context: Context, types: Iterable[str] = ()) -> Json:
    """Return the OpenAPI document as a tree."""
    names = sorted(set(types) & resource_types()) or sorted(resource_types())
    paths: Json = _system_paths(context)
    for name in names:
        paths |= _type_paths(name, context)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "互通 Hutong FHIR R4",
            "version": software_version(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "FHIR R4 REST(https://hl7.org/fhir/R4/http.html)。错误一律为 OperationOutcome。 Every error is an OperationOutcome.",
        },
        "servers": [{"url": base}],
        "tags": [{"name": "system"}, *({"name": name} for name in sorted(resource_types()))],
        "paths": paths,
        "components": {
            "parameters": parameters(),
            "headers": headers(),
            "responses": {f"E{code}": _error(text) for code, text in ERRORS.items()},
            "schemas": {
                name: schema(name) for name in sorted({*names, "Bundle", "Parameters", "OperationOutcome"})
            },
        },
    }


def _system_paths(context: Context) -> Json:
    paths: Json = {
        "/metadata": {
            "get": _operation(
                "capabilities",
                "system",
                "能力声明 CapabilityStatement",
                {"200": _ok("服务器能力 what the server can do")},
            )
        },
        "/_history": {
            "get": _operation("history-system", "system", "全部历史 history of everything", _found(), HISTORY)
        },
        "/": {
            "get": _operation(
                "search-system",
                "system",
                "跨类型检索 search in several types",
                _found(),
                ["summary", "format", "count", "type"],
            ),
            "post": _operation(
                "transaction",
                "system",
                "批处理或事务 batch or transaction",
                {
                    "200": _ok("各条目的结果 the answers", "Bundle"),
                    **_errors("400", "409", "412", "413", "415", "422"),
                },
                ["prefer"],
                "Bundle",
                transaction_example(),
            ),
        },
        "/_search": {"post": _form("search-system-post", "system", [])},
    }
    for name in context.operations.names("system", ""):
        paths[f"/${name}"] = _operation_item(context, "system", "", name)
    return paths


HISTORY = ["since", "at", "count", "format"]


def _type_paths(name: str, context: Context) -> Json:
    write = _errors("400", "409", "412", "413", "415", "422")
    search = [_search_parameter(code, row.type) for code, row in sorted(context.parameters.of(name).items())]
    paths: Json = {
        f"/{name}": {
            "get": _operation(
                f"search-{name}",
                name,
                f"检索 search {name}",
                _found(),
                ["count", "sort", "summary", "elements", "format", *search],
            ),
            "post": _operation(
                f"create-{name}",
                name,
                f"新建 create {name}",
                {
                    "201": _ok("已新建 created", name, written=True),
                    "200": _ok("条件匹配到已有资源 it was there", name),
                    **write,
                },
                ["if_none_exist", "prefer"],
                name,
            ),
            "put": _operation(
                f"conditional-update-{name}",
                name,
                "条件更新 conditional update",
                {
                    "200": _ok("已更新 updated", name, written=True),
                    "201": _ok("已新建 created", name, written=True),
                    **write,
                },
                ["if_match", "prefer", *search],
                name,
            ),
            "patch": _patch(f"conditional-patch-{name}", name, search),
            "delete": _operation(
                f"conditional-delete-{name}",
                name,
                "条件删除 conditional delete",
                {
                    "200": _ok("已删除 deleted", "OperationOutcome"),
                    "204": {"description": "无匹配 nothing matched"},
                    **_errors("400", "412"),
                },
                ["count", *search],
            ),
        },
        f"/{name}/_search": {"post": _form(f"search-post-{name}", name, search)},
        f"/{name}/_history": {
            "get": _operation(f"history-{name}", name, "类型历史 history of the type", _found(), HISTORY)
        },
        f"/{name}/{{id}}": {
            "parameters": [_reference("id")],
            "get": _operation(
                f"read-{name}",
                name,
                f"读取 read {name}",
                {
                    "200": _ok("当前版本 the current version", name),
                    "304": {"description": "未变 not changed"},
                    **_errors("400", "404", "406", "410"),
                },
                ["if_none_match", "if_modified_since", "summary", "elements", "format"],
            ),
            "put": _operation(
                f"update-{name}",
                name,
                f"更新 update {name}",
                {
                    "200": _ok("已更新 updated", name, written=True),
                    "201": _ok("已新建 created", name, written=True),
                    **write,
                },
                ["if_match", "prefer"],
                name,
            ),
            "patch": _patch(f"patch-{name}", name, []),
            "delete": _operation(
                f"delete-{name}",
                name,
                f"删除 delete {name}",
                {
                    "200": _ok("已删除 deleted", "OperationOutcome"),
                    "204": {"description": "本来没有 nothing was there"},
                    **_errors("400", "412"),
                },
                ["if_match", "prefer"],
            ),
        },
        f"/{name}/{{id}}/_history": {
            "parameters": [_reference("id")],
            "get": _operation(
                f"history-instance-{name}", name, "实例历史 history of the resource", _found("404"), HISTORY
            ),
        },
        f"/{name}/{{id}}/_history/{{vid}}": {
            "parameters": [_reference("id"), _reference("vid")],
            "get": _operation(
                f"vread-{name}",
                name,
                "读取某版本 read a version",
                {"200": _ok("该版本 that version", name), **_errors("400", "404", "410")},
                ["format"],
            ),
        },
    }
    for operation in context.operations.names("type", name):
        paths[f"/{name}/${operation}"] = _operation_item(context, "type", name, operation)
    for operation in context.operations.names("instance", name):
        item = _operation_item(context, "instance", name, operation)
        paths[f"/{name}/{{id}}/${operation}"] = {"parameters": [_reference("id")], **item}
    return paths


def _operation(
    id: str,
    tag: str,
    summary: str,
    responses: Json,
    parameters: Iterable[str | Json] = (),
    body: str | None = None,
    example: Json | None = None,
) -> Json:
    row: Json = {"operationId": id, "tags": [tag], "summary": summary, "responses": responses}
    listed = [_reference(one) if isinstance(one, str) else one for one in parameters]
    if listed:
        row["parameters"] = listed
    if body:
        content: Json = {
            "schema": {"$ref": f"#/components/schemas/{body}"},
            "example": example or minimal(body),
        }
        row["requestBody"] = {"required": True, "content": {JSON: content, XML: {}}}
    return row


def _patch(id: str, name: str, search: list[Json]) -> Json:
    row = _operation(
        id,
        name,
        f"修改 patch {name}",
        {
            "200": _ok("已修改 patched", name, written=True),
            **_errors("400", "404", "409", "410", "412", "415", "422"),
        },
        ["if_match", "prefer", *search],
    )
    steps = {"type": "array", "items": {"type": "object", "required": ["op", "path"]}}
    patch = [{"op": "add", "path": "/language", "value": "zh-CN"}]
    row["requestBody"] = {
        "required": True,
        "content": {
            "application/json-patch+json": {"schema": steps, "example": patch},
            "application/merge-patch+json": {"schema": {"type": "object"}, "example": {"language": "zh-CN"}},
            JSON: {
                "schema": {"$ref": "#/components/schemas/Parameters"},
                "example": fhirpath_patch_example(name),
            },
        },
    }
    return row


def _form(id: str, tag: str, search: list[Json]) -> Json:
    row = _operation(id, tag, "以表单检索 search by form", _found("415"))
    properties = {one["name"]: one["schema"] for one in search}
    row["requestBody"] = {
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "properties": properties},
                "example": {"_count": "10"},
            }
        }
    }
    return row


def _operation_item(context: Context, level: Level, name: str, code: str) -> Json:
    operation = context.operations.find(level, name, code)
    assert operation is not None
    definition = operation.resource
    where = "-".join(filter(None, (level, name, code)))
    summary = str(definition.get("title") or definition.get("name") or code)
    answers = {"200": _ok("结果 the result"), **_errors("400", "404", "422")}
    inputs = [row for row in definition.get("parameter", ()) if row["use"] == "in"]
    post = _operation(
        f"{where}-post", name or "system", summary, answers, (), "Parameters", _operation_example(operation)
    )
    post["requestBody"]["required"] = False
    item: Json = {"post": post}
    if not operation.affects_state:
        simple = [_input(row) for row in inputs if row.get("type", "")[:1].islower()]
        item["get"] = _operation(f"{where}-get", name or "system", summary, answers, simple)
    return item


def _operation_example(operation: Operation) -> Json:
    return operation.example or {"resourceType": "Parameters", "parameter": []}


def _input(row: Json) -> Json:
    schema = PRIMITIVES.get(row.get("type", ""), {"type": "string"})
    return {
        "name": row["name"],
        "in": "query",
        "required": False,
        "schema": schema,
        "description": str(row.get("documentation", ""))[:300],
    }


def _search_parameter(code: str, kind: str) -> Json:
    return {
        "name": code,
        "in": "query",
        "schema": {"type": "string"},
        "description": SEARCH_TYPES.get(kind, kind),
    }


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/parameters/{name}"}


def _found(*more: str) -> Json:
    return {"200": _ok("Bundle", "Bundle"), **_errors("400", "406", *more)}


def _ok(text: str, schema: str | None = None, *, written: bool = False) -> Json:
    shape = {"$ref": f"#/components/schemas/{schema}"} if schema else {}
    row: Json = {"description": text, "content": {JSON: {"schema": shape}, XML: {}}}
    if written:
        row["headers"] = {
            name: {"$ref": f"#/components/headers/{name}"} for name in ("ETag", "Location", "Last-Modified")
        }
    return row


def _errors(*codes: str) -> Json:
    return {code: {"$ref": f"#/components/responses/E{code}"} for code in codes}


def _error(text: str) -> Json:
    return {
        "description": text,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}, XML: {}},
    }
