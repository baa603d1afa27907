"""The pages for people: the front page and one page for every error code, in Chinese and English.

FastAPI serves them; it is imported when the first page is asked for, so that the gateway is ready sooner.
"""

import re
from html import escape
from typing import TYPE_CHECKING

from gateway.rest.api_docs import PAGE as API_PAGE
from gateway.rest.request import language
from terminology.issues import SENTENCES, Language, Sentence, sentences

if TYPE_CHECKING:
    from fastapi import FastAPI

CODE = re.compile(r"HT-([A-Z]+)-[0-9]+", re.ASCII)
BLANK = re.compile(r"\{(\w+)[^}]*\}")

TEXTS: dict[str, tuple[str, str]] = {
    "title": ("Hutong 互通", "Hutong 互通"),
    "lead": (
        "县域医共体的 FHIR 网关与术语服务。",
        "The FHIR gateway and terminology service of a county medical community.",
    ),
    "api": ("FHIR 接口说明与试用", "FHIR API, described and to try"),
    "errors": ("错误代码", "Error codes"),
    "error_lead": (
        "每个错误代码的含义与解决办法。应答中的 HT 代码可在此查到。",
        "What each error code means and how to repair it. Look up the HT code of an answer here.",
    ),
    "received": ("含义", "What it says"),
    "fix": ("如何解决", "How to fix it"),
    "type": ("FHIR 问题类型", "FHIR issue type"),
    "where": ("会出现在哪里", "Where you meet it"),
    "where_text": (
        "HTTP 应答的 OperationOutcome（issue.details.coding），或 HL7 v2 应答的 ERR-5；花括号处填入当时的值。",
        "In the OperationOutcome of an HTTP answer (issue.details.coding) or in ERR-5 of an HL7 v2 acknowledgement; blanks stand for the values of the case.",
    ),
    "all": ("全部错误代码", "All error codes"),
    "home": ("首页", "Home"),
    "other": ("English", "中文"),
    "missing": ("没有这个错误代码", "There is no such error code"),
    "fhir": ("FHIR 根地址", "FHIR base"),
    "messages": ("消息及其去向", "Messages and what became of them"),
    "unmapped": ("待对照的编码", "Codes that wait for a map"),
    "sources": ("自动读取的数据源", "Sources that are read"),
    "deliveries": ("发送记录", "What was sent, what waits"),
    "destinations": ("发送目标", "Destinations and where they stand"),
    "worklist": ("工作列表", "The worklist"),
    "certificates": ("成员的证书", "Certificates of members"),
    "soap": ("医院信息平台交互服务（WSDL）", "Service of the hospital platform (WSDL)"),
    "metrics": ("运行指标（Prometheus）", "Metrics (Prometheus)"),
    "health": ("运行状态", "Liveness"),
    "capabilities": ("能力声明", "CapabilityStatement"),
}

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5a6472;--line:#d9dee5;--paper:#fff;--wash:#f5f7fa;--mark:#0b6b57}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa5b4;--line:#333b46;--paper:#14181d;--wash:#1c2229;--mark:#5fc9ae}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.65 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
main{max-width:46rem;margin:0 auto;padding:1.5rem 1rem 4rem}header{display:flex;justify-content:space-between;gap:1rem;
border-bottom:1px solid var(--line);padding-bottom:.6rem;font-size:.9rem}a{color:var(--mark)}h1{font-size:1.6rem;margin:1.4rem 0 .3rem}
h2{font-size:1.05rem;margin:1.6rem 0 .3rem}p.lead{color:var(--soft);margin-top:0}code{font:.92em ui-monospace,Menlo,Consolas,monospace}
.card{background:var(--wash);border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem}.card p{margin:.2rem 0}
.blank{color:var(--mark);border-bottom:1px dashed}.other{color:var(--soft)}ul{padding-left:1.2rem}li{margin:.25rem 0}
dl{display:grid;grid-template-columns:auto 1fr;gap:.3rem 1rem}dt{white-space:nowrap}dd{margin:0;color:var(--soft)}
"""


def build_pages() -> "FastAPI":
    """Return the FastAPI application of the pages."""
    from fastapi import FastAPI, Request
    from fastapi.responses import HTMLResponse

    pages = FastAPI(title="Hutong", docs_url=None, redoc_url=None, openapi_url=None)

    def chosen(request: Request) -> Language:
        wish = request.query_params.get("lang")
        return wish if wish in ("zh", "en") else language(request.headers.get("accept-language", ""))  # type: ignore[return-value]  # tested in this line

    async def home(request: Request) -> HTMLResponse:
        return HTMLResponse(home_page(chosen(request)))

    async def errors(request: Request) -> HTMLResponse:
        return HTMLResponse(index_page(chosen(request)))

    async def error(request: Request) -> HTMLResponse:
        code = str(request.path_params["code"]).upper()
        page = error_page(code, chosen(request))
        return HTMLResponse(page or missing_page(chosen(request)), status_code=200 if page else 404)

    pages.add_api_route("/", home, methods=["GET"], response_class=HTMLResponse)

    async def api() -> HTMLResponse:
        return HTMLResponse(API_PAGE.read_text("utf-8"))

    pages.add_api_route("/docs/api", api, methods=["GET"], response_class=HTMLResponse)
    pages.add_api_route("/docs/errors", errors, methods=["GET"], response_class=HTMLResponse)
    pages.add_api_route("/docs/errors/{code}", error, methods=["GET"], response_class=HTMLResponse)
    return pages


def all_codes() -> dict[str, Sentence]:
    """Return every error code there is, sorted by area and number."""
    areas = sorted(path.stem for path in SENTENCES.glob("*.toml"))
    return {code: row for area in areas for code, row in sorted(sentences(area).items())}


def home_page(lang: Language) -> str:
    links = {
        "/fhir/metadata": "capabilities",
        "/messages": "messages",
        "/messages/unmapped": "unmapped",
        "/sources": "sources",
        "/deliveries": "deliveries",
        "/deliveries/destinations": "destinations",
        "/fhir/Task/$worklist": "worklist",
        "/conformance/certificates": "certificates",
        "/soap/HIPMessageServer?wsdl": "soap",
        "/docs/api": "api",
        "/docs/errors": "errors",
        "/health": "health",
        "/metrics": "metrics",
    }
    rows = "".join(
        f'<dt><a href="{path}">{path}</a></dt><dd>{_t(name, lang)}</dd>' for path, name in links.items()
    )
    body = f'<h1>{_t("title", lang)}</h1><p class="lead">{_t("lead", lang)}</p><dl>{rows}</dl>'
    return _page(_t("title", lang), body, lang)


def index_page(lang: Language) -> str:
    parts: list[str] = []
    area = ""
    for code, row in all_codes().items():
        if code.split("-")[1] != area:
            area = code.split("-")[1]
            parts.append(f"{'</ul>' if parts else ''}<h2>{area}</h2><ul>")
        text = row.zh if lang == "zh" else row.en
        parts.append(f'<li><a href="/docs/errors/{code}"><code>{code}</code></a> {_blanks(text)}</li>')
    body = f'<h1>{_t("errors", lang)}</h1><p class="lead">{_t("error_lead", lang)}</p>{"".join(parts)}</ul>'
    return _page(_t("errors", lang), body, lang)


def error_page(code: str, lang: Language) -> str | None:
    """Return the page of one code, None when there is no such code."""
    row = all_codes().get(code) if CODE.fullmatch(code) else None
    if row is None:
        return None
    text, fix, other = (row.zh, row.fix_zh, row.en) if lang == "zh" else (row.en, row.fix_en, row.zh)
    body = (
        f"<h1><code>{code}</code></h1>"
        f'<h2>{_t("received", lang)}</h2><div class="card"><p>{_blanks(text)}</p><p class="other">{_blanks(other)}</p></div>'
        f"<h2>{_t('fix', lang)}</h2><p>{_blanks(fix)}</p>"
        f'<h2>{_t("type", lang)}</h2><p><a href="https://hl7.org/fhir/R4/valueset-issue-type.html"><code>{row.type}</code></a></p>'
        f"<h2>{_t('where', lang)}</h2><p>{_t('where_text', lang)}</p>"
        f'<p><a href="/docs/errors">{_t("all", lang)}</a></p>'
    )
    return _page(code, body, lang)


def missing_page(lang: Language) -> str:
    return _page(
        "404", f'<h1>{_t("missing", lang)}</h1><p><a href="/docs/errors">{_t("all", lang)}</a></p>', lang
    )


def _page(title: str, body: str, lang: Language) -> str:
    other = "en" if lang == "zh" else "zh"
    tag = "zh-CN" if lang == "zh" else "en"
    return (
        f'<!doctype html><html lang="{tag}"><head><meta charset="utf-8"><title>{escape(title)} · Hutong</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body><main>'
        f'<header><a href="/">{_t("home", lang)}</a><a href="?lang={other}" lang="{other}">{_t("other", lang)}</a></header>'
        f"{body}</main></body></html>"
    )


def _t(name: str, lang: Language) -> str:
    return escape(TEXTS[name][0 if lang == "zh" else 1])


def _blanks(text: str) -> str:
    """Show the blanks of a sentence as what they are: names of values."""
    return BLANK.sub(r'<span class="blank">\1</span>', escape(text))
