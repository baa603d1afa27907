"""The certificate as a one-page PDF with its QR code (needs the extra `pdf`: reportlab)."""

import io
from hashlib import sha256
from typing import Any

from conformance.reports.certificate_page import QR_BYTES, WORDS, facts_of
from conformance.testing.certificate import Certificate
from terminology.issues import Language

# A Type 0 font that every PDF reader has for Simplified Chinese: nothing is embedded (Adobe-GB1).
FONT = "STSong-Light"
MARGIN = 54
QR_SIZE = 190


def to_certificate_pdf(certificate: Certificate, jws: str, language: Language = "zh") -> bytes:
    """Return the page; raises ModuleNotFoundError without reportlab."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.utils import simpleSplit
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    title, *names, note = WORDS[language]
    held = io.BytesIO()
    page = Canvas(held, pagesize=A4, pageCompression=1, invariant=1)
    width, height = A4
    page.setTitle(f"{title} {certificate.member}")
    page.setFont(FONT, 22)
    page.drawCentredString(width / 2, height - 90, title)
    at = height - 140
    for name, value in zip(names, facts_of(certificate, language), strict=True):
        page.setFont(FONT, 11)
        page.drawString(MARGIN, at, name)
        for line in simpleSplit(value, FONT, 11, width - 2 * MARGIN - 110)[:4]:
            page.drawString(MARGIN + 110, at, line)
            at -= 16
        at -= 4
    _qr(page, jws, (width - QR_SIZE) / 2, at - QR_SIZE - 10)
    at -= QR_SIZE + 34
    page.setFont(FONT, 9)
    for line in simpleSplit(note, FONT, 9, width - 2 * MARGIN):
        page.drawString(MARGIN, at, line)
        at -= 13
    page.setFont("Courier", 5)
    for start in range(0, min(len(jws), 150 * 14), 150):
        page.drawString(MARGIN, at, jws[start : start + 150])
        at -= 6
    page.showPage()
    page.save()
    return held.getvalue()


def _qr(page: Any, jws: str, left: float, bottom: float) -> None:
    """Draw the code as vector squares; a JWS too long for one is represented by its SHA-256."""
    import segno

    content = jws if len(jws) <= QR_BYTES else f"sha256:{sha256(jws.encode()).hexdigest()}"
    rows = list(segno.make(content, error="l", micro=False).matrix)
    size = QR_SIZE / len(rows)
    for number, row in enumerate(rows):
        for column, is_dark in enumerate(row):
            if is_dark:
                page.rect(
                    left + column * size, bottom + QR_SIZE - (number + 1) * size, size, size, stroke=0, fill=1
                )
