"""A run as one HTML file: the figures on top for who decides, every byte below for who repairs. No script, no network."""

from html import escape

from terminology.fhirjson import Json
from terminology.issues import Language

STYLE = """body{font:15px/1.6 system-ui,"Noto Sans CJK SC","Microsoft YaHei",sans-serif;margin:2rem auto;max-width:62rem;
padding:0 1rem;color:#1a2330}h1{font-size:1.5rem}table{border-collapse:collapse;width:100%}td,th{padding:.3rem .5rem;
border-bottom:1px solid #dde3ea;text-align:left;vertical-align:top}pre{background:#f4f6f9;padding:.6rem;overflow:auto;
white-space:pre-wrap;word-break:break-all;max-height:24rem}.pass,.attested{color:#0a6b2e}.fail,.error{color:#b3261e}
.not-evaluated,.waived{color:#8a5a00}.big{font-size:1.3rem;font-weight:600}summary{cursor:pointer;padding:.25rem 0}
.fix{color:#44546a}@media print{details{break-inside:avoid}}"""
WORDS = {
    "zh": {
        "title": "符合性测试报告", "target": "被测系统", "roles": "角色", "started": "开始时间", "suite": "测试集校验值",
        "pass": "通过", "fail": "失败", "error": "错误", "not-evaluated": "未评估", "waived": "豁免", "attested": "认可",
        "not-applicable": "不适用", "count": "数量", "ok": "全部通过，可申请证书。",
        "bad": "不能签发证书：有 {n} 项测试未通过或未评估。", "fix": "修复", "kind": "类别",
        "data": "数据集", "document": "共享文档", "service": "交互服务",
    },
    "en": {
        "title": "Conformance report", "target": "Target", "roles": "Roles", "started": "Started", "suite": "Suite hash",
        "pass": "passed", "fail": "failed", "error": "error", "not-evaluated": "not evaluated", "waived": "waived",
        "attested": "attested", "not-applicable": "not applicable", "count": "count",
        "ok": "Everything passed; a certificate can be asked for.",
        "bad": "No certificate: {n} tests did not pass or were not evaluated.", "fix": "Fix", "kind": "Kind",
        "data": "data sets", "document": "shared documents", "service": "interaction services",
    },
}  # fmt: skip


def to_html(document: Json, language: Language = "zh") -> str:
    """Return the page. Whatever came from a target is escaped."""
    words = WORDS[language]
    results = document["results"]
    wrong = [row for row in results if row["state"] not in ("pass", "attested", "waived", "not-applicable")]
    verdict = words["bad"].format(n=len(wrong)) if wrong or not results else words["ok"]
    facts = [
        (words["target"], document["target"]),
        (words["roles"], ", ".join(document["roles"])),
        (words["started"], document["started"]),
        (words["suite"], document["suite_hash"]),
    ]
    head = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in facts)
    figures = "".join(
        f'<tr><td class="{state}">{escape(words[state])}</td><td>{count}</td></tr>'
        for state, count in document["counts"].items()
    )
    kinds = "".join(
        f"<tr><td>{escape(words[kind])}</td><td>{sum(1 for row in rows if row['state'] == 'pass')} / {len(rows)}</td></tr>"
        for kind, rows in _kinds(results).items()
        if rows
    )
    body = "".join(_test(row, language) for row in [*wrong, *(row for row in results if row not in wrong)])
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{escape(words["title"])} '
        f"{escape(document['target'])}</title><style>{STYLE}</style></head><body><h1>{escape(words['title'])}</h1>"
        f'<p class="big {"fail" if wrong or not results else "pass"}">{escape(verdict)}</p><table>{head}</table>'
        f"<table>{figures}{kinds}</table>{body}</body></html>"
    )


def _kinds(results: list[Json]) -> dict[str, list[Json]]:
    """The three words of the national interoperability scheme (互联互通): fields, documents, services."""
    found: dict[str, list[Json]] = {"data": [], "document": [], "service": []}
    for row in results:
        found[_kind(row)].append(row)
    return found


def _kind(row: Json) -> str:
    """A document is handed in or validated whole; a data set is what fields of messages hold; the rest are services."""
    kinds = {step["kind"] for step in row["steps"]}
    if "document-source" in row["roles"] or "validate" in kinds:
        return "document"
    # An HL7 v2 event names a message ("ORU^R01"); a method and a path a request.
    is_message = any("^" in name for name in _names(row))
    return "data" if is_message and kinds & {"receive", "upload"} else "service"


def _names(row: Json) -> list[str]:
    return [step["name"] for step in row["steps"] if step["kind"] in ("receive", "upload")]


def _test(row: Json, language: Language) -> str:
    words = WORDS[language]
    steps = "".join(_step(step, language) for step in row["steps"])
    names = escape(", ".join(row["requirements"]))
    is_open = " open" if row["state"] in ("fail", "error") else ""
    return (
        f'<details{is_open}><summary><b class="{row["state"]}">{escape(words[row["state"]])}</b> {escape(row["id"])} '
        f"{escape(row[language])} <small>{names} {row['seconds']} s</small></summary>{steps}</details>"
    )


def _step(step: Json, language: Language) -> str:
    words = WORDS[language]
    issues = "".join(
        f'<p class="{step["state"]}">{escape(one["code"])} {escape(one[language])}<br>'
        f'<span class="fix">{escape(words["fix"])}: {escape(one[f"fix_{language}"])}</span></p>'
        for one in step.get("issues", ())
    )
    evidence = step.get("evidence")
    shown = ""
    if evidence:
        shown = (
            f"<details><summary><small>{escape(evidence['method'])} {escape(evidence['url'])} → "
            f"{evidence.get('status') or ''} · sha256 {evidence['sha256'][:16]}</small></summary>"
            f"<pre>{escape(evidence['request'])}</pre><pre>{escape(evidence['response'])}</pre></details>"
        )
    return f"<div><small>{escape(step['kind'])}</small> {escape(step['name'])}{issues}{shown}</div>"
