"""Measure the way of a message. Part 1, mapping: bytes → charset → segments → map → resources → JSON bytes of each,
as the store takes them.

Run as `scripts/bench ingest [--messages N]`. The messages are GB 18030 laboratory results with 1, 6 and 22
OBX, no two alike (patients, values, times differ as in a day's work of a laboratory). Beside it the same input is read
with the `hl7` package and turned into the same kinds of resources by straight-line Python, without any of the checks:
the ratio does not depend on the machine. Part 2, the door and the whole way: scripts/bench_messages.py.
"""

import argparse
import gc
import random
import time
from collections.abc import Callable
from typing import Any

from bench_messages import bench_messages

from mappings.hl7v2 import parse
from mappings.language.active import ActiveMaps
from terminology.fhirjson import encode

ITEMS = """WBC 白细胞计数 10*9/L 3.5-9.5|RBC 红细胞计数 10*12/L 4.3-5.8|HGB 血红蛋白 g/L 130-175|HCT 红细胞压积 % 40-50
MCV 平均红细胞体积 fL 82-100|MCH 平均红细胞血红蛋白量 pg 27-34|MCHC 平均红细胞血红蛋白浓度 g/L 316-354|PLT 血小板计数 10*9/L 125-350
NEU% 中性粒细胞百分比 % 40-75|LYM% 淋巴细胞百分比 % 20-50|MON% 单核细胞百分比 % 3-10|EOS% 嗜酸性粒细胞百分比 % 0.4-8
BAS% 嗜碱性粒细胞百分比 % 0-1|NEU# 中性粒细胞计数 10*9/L 1.8-6.3|LYM# 淋巴细胞计数 10*9/L 1.1-3.2|MON# 单核细胞计数 10*9/L 0.1-0.6
EOS# 嗜酸性粒细胞计数 10*9/L 0.02-0.52|BAS# 嗜碱性粒细胞计数 10*9/L 0-0.06|RDW 红细胞分布宽度 % 11-15|MPV 平均血小板体积 fL 7-11
PDW 血小板分布宽度 fL 9-17|PCT 血小板压积 % 0.1-0.28"""
ROWS = [item.split(" ") for line in ITEMS.splitlines() for item in line.split("|")]
SIZES = (1, 6, 22)
ROUND = 100
TARGETS = {1: 6000, 6: 6000, 22: 2000}


def messages(count: int, results: int) -> list[bytes]:
    """Return `count` different messages with `results` OBX each."""
    chance = random.Random(results)
    return [message(chance, number, results) for number in range(count)]


def message(chance: random.Random, number: int, results: int) -> bytes:
    moment = f"20260315{chance.randrange(8, 18):02}{chance.randrange(60):02}{chance.randrange(60):02}"
    name = (
        chance.choice("张王李赵刘陈杨黄周吴")
        + "^"
        + "".join(chance.choice("伟芳娜敏静丽强磊军洋") for _ in range(2))
    )
    born = f"{chance.randrange(1940, 2020)}{chance.randrange(1, 13):02}{chance.randrange(1, 29):02}"
    lines = [
        f"MSH|^~\\&|LIS|XYRMYY|GW|HT|{moment}||ORU^R01^ORU_R01|M{number:08}|P|2.4||||||GB18030",
        f"PID|1||P{number:08}^^^XYRMYY^MR||{name}||{born}|{chance.choice('MF')}|||"
        f"山东省济南市历下区经十路{chance.randrange(1, 999)}号||138{chance.randrange(10**8):08}|||2",
        f"PV1|1|I|020101&心内科^12^{chance.randrange(1, 60)}^XYRMYY||||D{chance.randrange(200):03}^李^建国|||||||||||1|ZY{number:08}",
        f"ORC|RE|REQ{number:08}^HIS|LAB{number:08}^LIS",
        f"OBR|1|REQ{number:08}^HIS|LAB{number:08}^LIS|XCG^血常规^LOCAL|||{moment}|||||||{moment}|BLD^全血"
        f"|D{chance.randrange(200):03}^王^芳||||||{moment}|||F",
    ]
    for index, (code, text, unit, range_) in enumerate(ROWS[:results], 1):
        low, high = (float(part) for part in range_.split("-"))
        value = chance.uniform(low * 0.8, high * 1.2)
        flag = "L" if value < low else "H" if value > high else "N"
        lines.append(
            f"OBX|{index}|NM|{code}^{text}^LOCAL||{value:.{2 if high < 20 else 1}f}|{unit}|{range_}|{flag}|||F|||{moment}"
        )
    return ("\r".join(lines) + "\r").encode("gb18030")


def mapped(raw: bytes, maps: ActiveMaps) -> bytes:
    return b"\n".join([encode(entry.resource) for entry in maps.run(parse(raw)).entries])


def naive(raw: bytes) -> bytes:
    """The same with `hl7`: the charset is known, every field is where the sample has it, nothing is checked."""
    import hl7

    tree: Any = hl7.parse(raw.decode("gb18030"))
    pid, pv1, obr = tree["PID"][0], tree["PV1"][0], tree["OBR"][0]
    patient = f"Patient/{pid[3][0][0][0]}"
    entries: list[dict[str, Any]] = [
        {
            "resourceType": "Patient",
            "id": str(pid[3][0][0][0]),
            "identifier": [{"value": str(pid[3][0][0][0]), "system": str(pid[3][0][3][0])}],
            "name": [{"family": str(pid[5][0][0][0]), "given": [str(pid[5][0][1][0])]}],
            "gender": {"M": "male", "F": "female"}[str(pid[8][0])],
            "birthDate": date(str(pid[7][0])),
            "address": [{"text": str(pid[11][0])}],
            "telecom": [{"system": "phone", "value": str(pid[13][0])}],
        },
        {
            "resourceType": "Encounter",
            "id": str(pv1[19][0]),
            "status": "unknown",
            "class": {"code": "IMP"},
            "subject": {"reference": patient},
        },
        {
            "resourceType": "Practitioner",
            "id": str(obr[16][0][0][0]),
            "name": [{"text": str(obr[16][0][1][0]) + str(obr[16][0][2][0])}],
        },
        {
            "resourceType": "Specimen",
            "id": str(obr[3][0][0][0]),
            "type": coded(obr[15][0]),
            "subject": {"reference": patient},
        },
        {
            "resourceType": "ServiceRequest",
            "id": str(obr[2][0][0][0]),
            "status": "active",
            "intent": "order",
            "code": coded(obr[4][0]),
            "subject": {"reference": patient},
        },
    ]
    observations = []
    for obx in tree["OBX"]:
        low, high = str(obx[7][0]).split("-")
        observations.append(
            {
                "resourceType": "Observation",
                "id": f"{obr[3][0][0][0]}-{obx[3][0][0][0]}",
                "status": {"F": "final", "P": "preliminary"}[str(obx[11][0])],
                "category": [{"coding": [{"code": "laboratory"}]}],
                "code": coded(obx[3][0]),
                "subject": {"reference": patient},
                "effectiveDateTime": instant(str(obx[14][0])),
                "valueQuantity": {"value": float(str(obx[5][0])), "unit": str(obx[6][0])},
                "interpretation": [{"coding": [{"code": str(obx[8][0])}]}],
                "referenceRange": [
                    {"low": {"value": float(low)}, "high": {"value": float(high)}, "text": str(obx[7][0])}
                ],
            }
        )
    entries.append(
        {
            "resourceType": "DiagnosticReport",
            "id": str(obr[3][0][0][0]),
            "status": "final",
            "code": coded(obr[4][0]),
            "subject": {"reference": patient},
            "effectiveDateTime": instant(str(obr[7][0])),
            "issued": instant(str(obr[22][0])),
            "result": [{"reference": f"Observation/{row['id']}"} for row in observations],
        }
    )
    return b"\n".join([encode(row) for row in [*entries, *observations]])


def coded(field: Any) -> dict[str, Any]:
    return {"coding": [{"code": str(field[0][0]), "display": str(field[1][0])}], "text": str(field[1][0])}


def date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}"


def instant(text: str) -> str:
    return f"{date(text)}T{text[8:10]}:{text[10:12]}:{text[12:14]}+08:00"


def rate(work: Callable[[bytes], bytes], rounds: list[list[bytes]]) -> float:
    """Return messages a second of CPU time: the best round, as others use the machine too. No message comes twice."""
    best = 0.0
    for raws in rounds:
        started = time.process_time()
        for raw in raws:
            work(raw)
        best = max(best, len(raws) / (time.process_time() - started))
    return best


def bench_mapping(count: int) -> None:
    maps = ActiveMaps()
    maps.refresh()
    # As `hutong serve` does.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    print("mapping, one core, GB 18030 bytes → JSON bytes (messages/s of CPU time)")
    print(
        f"{'OBX':>4} {'bytes':>6} {'resources':>9} {'JSON':>7} {'hutong':>9} {'target':>7} {'hl7 + naive':>12} {'ratio':>6}"
    )
    for size in SIZES:
        raws = messages(count, size)
        rounds = [raws[start : start + ROUND] for start in range(0, count, ROUND)]
        result = maps.run(parse(raws[0]))
        body = mapped(raws[0], maps)
        ours = rate(lambda raw: mapped(raw, maps), rounds)
        theirs = rate(naive, rounds[: max(2, len(rounds) // 5)])
        print(
            f"{size:4} {len(raws[0]):6} {len(result.entries):9} {len(body):7} {ours:9,.0f} {TARGETS[size]:7,}"
            f" {theirs:12,.0f} {ours / theirs:6.1f}"
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=4000, help="messages of each size, no two alike")
    chosen = arguments.parse_args()
    bench_mapping(chosen.messages)
    print()
    bench_messages(chosen.messages, results=6, connections=8, window=32)


if __name__ == "__main__":
    main()
