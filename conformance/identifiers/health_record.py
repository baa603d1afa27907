"""Health record number of residents, 城乡居民健康档案编号 (WS 365, format N17)."""

import re


def is_health_record_number(value: str) -> bool:
    """Return whether it has 17 digits: county 6, township 3, village 3, serial 5; the area begins with a province."""
    return re.fullmatch(r"[1-8]\d{16}", value) is not None
