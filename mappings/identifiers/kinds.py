"""The kinds of identifiers we know: their system, type and check, and the words by which senders announce them.

Systems: OIDs of the health information standards (2.16.156.10011.1.*) where there is one, else a NamingSystem of ours.
Types: http://terminology.hl7.org/CodeSystem/v2-0203.
"""

from collections.abc import Callable
from dataclasses import dataclass

from conformance.identifiers import systems
from mappings.identifiers.check import (
    Checked,
    check_health_card,
    check_health_record,
    check_licence,
    check_organisation_code,
    check_resident,
    check_uscc,
)

Check = Callable[[str], Checked]

NATIONAL = "urn:oid:2.16.156.10011.1"


@dataclass(frozen=True)
class Kind:
    """`code`: the type in v2-0203; `is_personal`: the number alone tells who it is, anywhere in the country."""

    name: str
    system: str | None
    code: str
    title: str
    check: Check | None = None
    is_personal: bool = False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("resident", systems.RESIDENT_ID, "NI", "居民身份证", check_resident, is_personal=True),
        Kind(
            "health-record",
            systems.HEALTH_RECORD,
            "PI",
            "城乡居民健康档案编号",
            check_health_record,
            is_personal=True,
        ),
        Kind("health-card", systems.HEALTH_CARD, "HC", "居民健康卡", check_health_card, is_personal=True),
        Kind("organisation-code", systems.ORGANISATION_CODE, "XX", "组织机构代码", check_organisation_code),
        Kind("credit-code", systems.USCC, "USCID", "统一社会信用代码", check_uscc),
        Kind(
            "licence",
            systems.MEDICAL_LICENCE,
            "FI",
            "医疗机构执业许可证登记号",
            check_licence,
        ),
        Kind("staff", f"{NATIONAL}.4", "EI", "医护人员编号"),
        Kind("outpatient", systems.OUTPATIENT, "PI", "门诊号"),
        Kind("inpatient", systems.INPATIENT, "PI", "住院号"),
        Kind("specimen", f"{NATIONAL}.14", "SID", "标本号"),
        Kind("request", f"{NATIONAL}.24", "PLAC", "电子申请单编号"),
        Kind("department", f"{NATIONAL}.26", "XX", "科室"),
        Kind("order", f"{NATIONAL}.28", "PLAC", "医嘱号"),
        Kind("insurance", "https://hutong.health/fhir/NamingSystem/insured-person", "SN", "医保个人编号"),
        Kind("passport", None, "PPN", "护照"),
        Kind("military", None, "MI", "军官证"),
    )
}

# What stands in PID-3.5, in PID-3.4 or in a column's name, folded to capitals.
_WORDS: dict[str, str] = {
    word: name
    for name, words in {
        "resident": "IDN IDCARD ID_CARD SFZ SFZH SFZHM 身份证 身份证号 居民身份证 居民身份证号码 公民身份号码 PRC NNCHN CHN NICN",
        "health-record": "EHR DAH JKDAH 健康档案 健康档案号 健康档案编号 居民健康档案编号",
        "health-card": "HC JKK JKKH DZJKK 健康卡 居民健康卡 电子健康卡 健康卡号",
        "outpatient": "MZH OPID OUTPATIENTNO 门诊号 门诊病人",
        "inpatient": "ZYH IPID INPATIENTNO 住院号",
        "insurance": "YBH PSN_NO PSNNO YBKH 医保号 医保卡 医保卡号 医保个人编号 社保号 SSC",
        "passport": "PPN HZ 护照 护照号",
        "military": "JGZ 军官证",
        "credit-code": "USCC USCID TYSHXYDM 统一社会信用代码",
        "licence": "DJH YLJGDJH 医疗机构登记号 执业许可证登记号",
        "organisation-code": "ZZJGDM 组织机构代码",
    }.items()
    for word in words.split()
}
_BY_SYSTEM = {kind.system: kind for kind in KINDS.values() if kind.system}


def kind_of(*, system: str | None = None, words: tuple[str, ...] = ()) -> Kind | None:
    """Return the kind that a system URI or one of the sender's words (type code, authority, column) names."""
    found = _BY_SYSTEM.get(system) if system else None
    if found:
        return found
    for word in words:
        name = _WORDS.get(word.strip().upper())
        if name:
            return KINDS[name]
    return None
