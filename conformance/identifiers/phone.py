"""Phone numbers as Chinese systems write them."""

import re
import unicodedata

_MOBILE = re.compile(r"(?:\+?86)?(1[3-9]\d{9})")
_LANDLINE = re.compile(
    r"(?:\+?86)?(010|02\d|0[3-9]\d{2})(\d{7,8})(?:(?:转|ext\.?|x|#)(\d{1,6}))?", re.IGNORECASE
)


def normalise_phone(text: str) -> tuple[str, bool]:
    """Return a comparable number and whether it is a Chinese mobile or landline number.

    A number that is neither comes back folded (full-width digits, spaces) and otherwise as it was.
    """
    folded = unicodedata.normalize("NFKC", text).strip()
    digits = re.sub(r"[\s\-()]+", "", folded)
    if (mobile := _MOBILE.fullmatch(digits)) is not None:
        return mobile[1], True
    if (landline := _LANDLINE.fullmatch(digits)) is not None:
        extension = f"-{landline[3]}" if landline[3] else ""
        return f"{landline[1]}-{landline[2]}{extension}", True
    return folded, False
