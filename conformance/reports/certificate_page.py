"""A certificate on one page, with its QR code: what a member hangs up, and what anyone can check offline."""

from hashlib import sha256
from html import escape

from conformance.testing.certificate import Certificate
from terminology.issues import Language

WORDS = {
    "zh": ("互联互通符合性证书", "成员单位", "厂商", "产品与版本", "角色", "接口版本", "测试集", "运行", "有效期", "状态", "豁免",
           "扫码得到签名声明（JWS），可用中心公钥离线验证：hutong conformance certificate --verify"),
    "en": ("Certificate of conformance", "Member", "Vendor", "Product and version", "Roles", "Interface", "Suite", "Run",
           "Valid", "State", "Waivers",
           "The code holds the signed statement (JWS); verify it offline with the centre's public key: hutong conformance certificate --verify"),
}  # fmt: skip
STATES = {
    "draft": "草稿", "testing": "测试中", "certified": "已认证", "conditional": "有条件认证", "suspended": "已暂停",
    "revoked": "已撤销", "expired": "已过期",
}  # fmt: skip
# A QR code of version 40 with error correction L holds this many bytes.
QR_BYTES = 2953


def to_certificate_html(certificate: Certificate, jws: str, language: Language = "zh") -> str:
    """Return the page; a JWS too long for a QR code is represented there by its SHA-256."""
    import segno

    title, *names, note = WORDS[language]
    values = facts_of(certificate, language)
    content = jws if len(jws) <= QR_BYTES else f"sha256:{sha256(jws.encode()).hexdigest()}"
    code = segno.make(content, error="l", micro=False).svg_inline(scale=3, border=2)
    facts = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in zip(names, values, strict=True)
    )
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{escape(title)}</title><style>'
        '@page{size:A4;margin:18mm}body{font:14px/1.7 system-ui,"Noto Sans CJK SC",sans-serif;max-width:46rem;'
        "margin:2rem auto}th{text-align:left;padding-right:1.5rem;white-space:nowrap;vertical-align:top}"
        f"td,small{{word-break:break-all;overflow-wrap:anywhere}}@media print{{body{{margin:0 auto}}}}</style></head><body><h1>{escape(title)}</h1><table>{facts}</table>"
        f"<p>{code}</p><p>{escape(note)}</p><p><small>{escape(jws)}</small></p></body></html>"
    )


def facts_of(row: Certificate, language: Language) -> list[str]:
    """Return what stands on a certificate, in the order of WORDS."""
    state = f"{STATES.get(row.state, row.state)} {row.state}" if language == "zh" else row.state
    waivers = ", ".join(f"{id} ≤ {until}" for id, until in row.waivers.items()) or "—"
    return [row.member, row.vendor, f"{row.product} {row.version}", ", ".join(row.roles), row.interface_version,
            row.suite_hash, row.run, f"{row.issued} … {row.valid_to}", state, waivers]  # fmt: skip
