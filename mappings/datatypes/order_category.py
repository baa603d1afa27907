"""What kind of work a request asks for, by the service it came in or the words in its title → the county's category.

A request of the hospital platform has no category of its own: the 2020 service codes tell it, else its name does.
"""

import re

from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

SYSTEM = "https://hutong.health/fhir/CodeSystem/order-category"
TITLES = {
    "lab": "检验",
    "imaging": "影像",
    "ecg": "心电",
    "pathology": "病理",
    "consult": "会诊",
    "referral": "转诊",
}
# 医院信息平台 2020: 检验申请, 检查申请, 病理申请, each new and changed; the others have no category of ours.
SERVICES = {
    "S0038": "lab",
    "S0039": "lab",
    "S0041": "imaging",
    "S0042": "imaging",
    "S0044": "pathology",
    "S0045": "pathology",
}
# The order matters: 病理检查 and 心电图检查 are no imaging, 检验 stands in many names.
WORDS = (
    (re.compile("病理|活检|细胞学|冰冻|免疫组化"), "pathology"),
    (re.compile("心电|动态血压|ECG|Holter", re.IGNORECASE), "ecg"),
    (re.compile("会诊"), "consult"),
    (re.compile("转诊"), "referral"),
    (re.compile("检验|化验|血常规|尿常规|生化|培养|抗体|抗原|LAB", re.IGNORECASE), "lab"),
    (re.compile(r"影像|放射|超声|B超|彩超|CT|MRI?\b|核磁|磁共振|DR\b|X线|造影|内镜|胃镜|肠镜|钼靶|检查|RAD", re.IGNORECASE), "imaging"),
)  # fmt: skip


@converter("order_category", returns="CodeableConcept")
def to_category(value: str, context: Context) -> Json | None:
    """`code | cd_text | order_category`: nothing when neither code nor words tell it."""
    text = str(value)
    code = SERVICES.get(text) or next((code for words, code in WORDS if words.search(text)), None)
    if code is None:
        return None
    return {"coding": [{"system": SYSTEM, "code": code, "display": TITLES[code]}]}
