"""TerminologyCapabilities: which code systems are here and which parameters the operations take.

https://hl7.org/fhir/R4/terminologycapabilities.html
"""

from datetime import datetime

from terminology.fhirjson import Json
from terminology.library import Library

EXPANSION_PARAMETERS = (
    ("activeOnly", "只要有效代码 / active codes only"),
    ("cache-id", "已发送资源的缓存 / cache of resources that were sent before"),
    ("check-system-version", "代码系统版本必须是 / a code system's version must be"),
    ("check-valueset-version", "值集版本必须是 / a value set's version must be"),
    ("count", "每页数量 / page size"),
    ("default-valueset-version", "值集默认版本 / version of a value set that is named without one"),
    ("designation", "需要的名称用途或语言 / wanted designations"),
    ("displayLanguage", "名称语言 / language of displays"),
    ("excludeNested", "不要树形 / no tree"),
    ("excludeNotForUI", "不要抽象代码 / no abstract codes"),
    ("filter", "检索文字:代码、名称、拼音 / text to search: code, name"),
    ("force-system-version", "强制代码系统版本 / replaces a code system's version"),
    ("force-valueset-version", "强制值集版本 / replaces a value set's version"),
    ("includeDefinition", "返回值集定义 / the value set's definition too"),
    ("includeDesignations", "返回所有名称 / all designations too"),
    ("offset", "起始位置 / start of the page"),
    ("property", "需要的属性 / wanted properties"),
    ("system-version", "代码系统默认版本 / version of a code system that is named without one"),
    ("tx-resource", "随请求发送的资源 / resources sent with the request"),
    ("useSupplement", "使用的补充 / supplements to use"),
    ("valueSetVersion", "值集版本 / version of the value set"),
    ("versionsMatch", "不同版本的同一代码视为相同 / codes of different versions are the same"),
)


def terminology_capabilities(library: Library, *, url: str, version: str, date: datetime) -> Json:
    """Return the statement; every code system is listed once with its versions."""
    systems: dict[str, list[Json]] = {}
    for resource in library.code_systems():
        if resource.get("content") != "supplement" and resource.get("url"):
            systems.setdefault(resource["url"], []).append(resource)
    return {
        "resourceType": "TerminologyCapabilities",
        "url": url,
        "version": version,
        "name": "HutongTerminology",
        "title": "互通 Hutong terminology",
        "status": "active",
        "date": date.isoformat(timespec="seconds"),
        "kind": "instance",
        "software": {"name": "Hutong 互通", "version": version},
        "implementation": {"description": "互通 Hutong", "url": url.removesuffix("/metadata")},
        "codeSystem": [_system(canonical, rows) for canonical, rows in sorted(systems.items())],
        "expansion": {
            "hierarchical": True,
            "paging": True,
            "incomplete": False,
            "parameter": [{"name": name, "documentation": text} for name, text in EXPANSION_PARAMETERS],
            "textFilter": "代码开头、名称中的词或汉字;多个词须全部命中。 Beginning of a code, words or Han characters of a name; "
            "every word must be found.",
        },
        "codeSearch": "all",
        "validateCode": {"translations": True},
        "translation": {"needsMap": True},
        "closure": {"translation": False},
    }


def _system(canonical: str, rows: list[Json]) -> Json:
    entry: Json = {"uri": canonical}
    versions = list(dict.fromkeys(row["version"] for row in rows if row.get("version")))
    if versions:
        entry["version"] = [{"code": code} for code in versions]
    return entry
