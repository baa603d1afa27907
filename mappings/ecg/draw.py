"""The strip as an SVG in real millimetres: 25 or 50 mm/s, 5, 10 or 20 mm/mV, on paper of 1 and 5 mm squares.

IEC 60601-2-25 §201.12.4: the paper's grid, the calibration pulse of 1 mV and the leads' names stand on every strip.
Everything is drawn with numbers; the only texts are names, escaped.
"""

from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any, Literal, get_args

from mappings.ecg.codes import STANDARD, codes
from mappings.ecg.recording import Lead, Recording, with_derived_leads

if TYPE_CHECKING:
    from numpy import ndarray

Layout = Literal["3x4+1", "6x2", "12x1"]
Language = Literal["zh", "en"]
LAYOUTS: tuple[str, ...] = get_args(Layout)
SPEEDS = (25, 50)
GAINS = (5, 10, 20)

MARGIN_MM, HEAD_MM, FOOT_MM = 5, 25, 8
PULSE_SECONDS = 0.2
# Room around the calibration pulse that stands before each row.
PULSE_ROOM_MM = 3
COLUMN_SECONDS = {"3x4+1": 2.5, "6x2": 5.0, "12x1": 10.0}
LONGEST_SECONDS = 60.0
# Half a row's height at 10 mm/mV; a row grows with the gain.
ROW_MM = {"3x4+1": 30, "6x2": 25, "12x1": 20}
RHYTHM = "II"
# Finer than a printer or screen shows at 25 mm/s; the path keeps the extremes of what it leaves out.
POINTS_PER_MM = 10

_COLUMNS = {
    "3x4+1": (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6")),
    "6x2": (("I", "II", "III", "aVR", "aVL", "aVF"), ("V1", "V2", "V3", "V4", "V5", "V6")),
    "12x1": (STANDARD,),
}
_WORDS = {
    "zh": {
        "title": "心电图", "speed": "走速", "gain": "增益", "patient": "姓名", "id": "编号", "sex": "性别", "M": "男", "F": "女",
        "age": "年龄", "years": "岁", "start": "采集时间", "leads": "导联", "rate": "采样率", "seconds": "秒", "filters": "滤波",
        "measured": "测量", "machine": "机器分析（未经医师确认）", "read": "结论", "missing": "缺导联", "scale": "定标 1 mV",
        "short": "记录短于走纸，各列时间有重叠",
        "unscaled": "无电压单位，纵轴不代表毫伏", "sep": "，", "colon": "：", "stop": "。",
    },
    "en": {
        "title": "Electrocardiogram", "speed": "Speed", "gain": "Gain", "patient": "Name", "id": "Id", "sex": "Sex", "M": "male",
        "F": "female", "age": "Age", "years": "years", "start": "Recorded", "leads": "Leads", "rate": "Sample rate",
        "seconds": "s", "filters": "Filters", "measured": "Measurements", "machine": "Machine reading (not confirmed)",
        "read": "Reading", "missing": "Missing leads", "scale": "Calibration 1 mV",
        "short": "recording shorter than the strip: columns overlap in time",
        "unscaled": "no voltage unit: the height is not in millivolts", "sep": ", ", "colon": ": ", "stop": ".",
    },
}  # fmt: skip
_STYLE = (
    ".paper{fill:#fffafa}.fine{stroke:#f6c9cb;stroke-width:.1}.coarse{stroke:#e58f94;stroke-width:.2}"
    ".trace{fill:none;stroke:#111;stroke-width:.3;stroke-linejoin:round;stroke-linecap:round}"
    ".mark{stroke:#111;stroke-width:.3}"
    "text{font-family:'Noto Sans CJK SC','WenQuanYi Micro Hei','Microsoft YaHei',Arial,sans-serif;fill:#111}"
    ".lead{font-size:3.6px;font-weight:700;paint-order:stroke;stroke:#fffafa;stroke-width:.8px}.small{font-size:3px}.head{font-size:4.4px;font-weight:700}"
)


@dataclass(frozen=True, slots=True)
class Chart:
    """How to draw: paper speed in mm/s, gain in mm/mV, layout, language of the labels. `is_anonymous`: without a name."""

    layout: Layout = "3x4+1"
    speed: int = 25
    gain: int = 10
    language: Language = "zh"
    is_anonymous: bool = False


@dataclass(frozen=True, slots=True)
class _Strip:
    """A piece of one lead on the paper: from second `start` for `seconds`, its left end and zero line in mm."""

    lead: Lead | None
    label: str
    start: float
    seconds: float
    x: float
    y: float
    is_first: bool


def draw(recording: Recording, chart: Chart | None = None) -> str:
    """Return the SVG document. Missing leads are named and left empty; long recordings show their first 60 seconds."""
    chart = chart or Chart()
    whole = with_derived_leads(recording)
    words = _WORDS[chart.language]
    strips, width, height = _placed(whole, chart)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}mm" height="{height:g}mm" viewBox="0 0 {width:g} {height:g}"'
        f' role="img" aria-labelledby="ecg-title ecg-desc" lang="{"zh-CN" if chart.language == "zh" else "en"}">',
        f'<title id="ecg-title">{escape(_title(whole, chart, words))}</title>',
        f'<desc id="ecg-desc">{escape(description(whole, chart.language))}</desc>',
        f"<style>{_STYLE}</style>",
        *_paper(width, height),
        *_header(whole, chart, words),
    ]
    for strip in strips:
        parts += _strip(strip, chart)
    parts += _footer(whole, chart, words, width, height)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def description(recording: Recording, language: Language = "zh") -> str:
    """Return the tracing in words, for those who do not see it: leads, length, measurements, statements."""
    words = _WORDS[language]
    labels = [lead.label for lead in recording.leads]
    said = [
        f"{words['leads']}{words['colon']}{words['sep'].join(labels)}",
        f"{recording.seconds:.1f} {words['seconds']}{words['sep']}{words['rate']} {recording.rate:g} Hz",
    ]
    measured = _measured(recording, language)
    if measured:
        said.append(f"{words['measured']}{words['colon']}{words['sep'].join(measured)}")
    if recording.reading.statements:
        name = words["read"] if recording.reading.source == "confirmed" else words["machine"]
        said.append(f"{name}{words['colon']}{words['sep'].join(recording.reading.statements)}")
    return f"{words['stop']} ".join(said) + words["stop"]


def _placed(recording: Recording, chart: Chart) -> tuple[list[_Strip], float, float]:
    columns = _COLUMNS[chart.layout]
    known = {label for column in columns for label in column}
    extra = [lead.label for lead in recording.leads if lead.label not in known]
    seconds = min(COLUMN_SECONDS[chart.layout], LONGEST_SECONDS)
    total = min(recording.seconds or seconds, LONGEST_SECONDS)
    if chart.layout == "12x1":
        seconds = max(min(total, 10.0), 1.0)
    row_mm = ROW_MM[chart.layout] * max(1.0, chart.gain / 10) * (0.75 if chart.gain == 5 else 1)
    top = MARGIN_MM + HEAD_MM
    left = MARGIN_MM + PULSE_ROOM_MM + PULSE_SECONDS * chart.speed
    strips = []
    rows = len(columns[0])
    # A recording of 5 s has no tenth second: its later columns show its end, not empty paper.
    latest = max(total - seconds, 0.0)
    for place, column in enumerate(columns):
        for row, label in enumerate(column):
            x = left + place * seconds * chart.speed
            strips.append(
                _Strip(
                    recording.lead(label),
                    label,
                    min(place * seconds, latest),
                    seconds,
                    x,
                    top + (row + 0.5) * row_mm,
                    place == 0,
                )
            )
    length = seconds * len(columns)
    below = [RHYTHM] if chart.layout == "3x4+1" else []
    for label in (*below, *extra):
        strips.append(
            _Strip(recording.lead(label), label, 0.0, length, left, top + (rows + 0.5) * row_mm, True)
        )
        rows += 1
    width = left + length * chart.speed + MARGIN_MM
    return strips, float(round(width)), float(round(top + rows * row_mm + FOOT_MM + MARGIN_MM))


def _paper(width: float, height: float) -> list[str]:
    """The grid as lines of 1 mm and 5 mm, drawn as two paths: patterns print blurred."""
    fine = "".join(f"M{x} 0V{height:g}" for x in range(int(width) + 1) if x % 5)
    fine += "".join(f"M0 {y}H{width:g}" for y in range(int(height) + 1) if y % 5)
    coarse = "".join(f"M{x} 0V{height:g}" for x in range(0, int(width) + 1, 5))
    coarse += "".join(f"M0 {y}H{width:g}" for y in range(0, int(height) + 1, 5))
    return [
        f'<rect class="paper" width="{width:g}" height="{height:g}"/>',
        f'<path class="fine" d="{fine}"/>',
        f'<path class="coarse" d="{coarse}"/>',
    ]


def _strip(strip: _Strip, chart: Chart) -> list[str]:
    parts = []
    if strip.is_first:
        parts.append(_pulse(strip.x, strip.y, chart))
    elif strip.lead is not None:
        parts.append(f'<path class="mark" d="M{strip.x:g} {strip.y - 4:g}v2M{strip.x:g} {strip.y + 2:g}v2"/>')
    if strip.lead is not None:
        line = _trace(strip, strip.lead, chart)
        if line:
            parts.append(f'<path class="trace" data-lead="{escape(strip.label)}" d="{line}"/>')
    name = strip.label if strip.lead is not None else f"{strip.label} –"
    parts.append(f'<text class="lead" x="{strip.x + 1:g}" y="{strip.y - 7:g}">{escape(name)}</text>')
    return parts


def _pulse(right: float, y: float, chart: Chart) -> str:
    """1 mV for 0.2 s, left of the trace."""
    width = PULSE_SECONDS * chart.speed
    return f'<path class="trace pulse" d="M{right - width - 2:g} {y:g}h1v{-chart.gain}h{width:g}v{chart.gain}h1"/>'


def _trace(strip: _Strip, lead: Lead, chart: Chart) -> str:
    """The samples as one relative path in hundredths of a millimetre; a gap in the data is a gap in the line."""
    import numpy

    first = round(strip.start * lead.rate)
    values = lead.microvolts()[first : first + round(strip.seconds * lead.rate) + 1]
    if not len(values):
        return ""
    if lead.factor is None:
        # Without a voltage only the shape can be shown: the largest swing fills 10 mm.
        swing = float(numpy.nanmax(numpy.abs(values), initial=1.0))
        values = values * (1000 / (swing or 1.0))
    step = lead.rate / (chart.speed * POINTS_PER_MM)
    at, values = _thinned(values, int(step)) if step >= 2 else (numpy.arange(len(values)), values)
    x = numpy.rint((strip.x + at / lead.rate * chart.speed) * 100)
    y = numpy.rint((strip.y - values * chart.gain / 1000) * 100)
    known = numpy.isfinite(y)
    pieces = []
    edges = numpy.flatnonzero(numpy.diff(numpy.concatenate(([0], known.astype(numpy.int8), [0]))))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        pieces.append(_path(x[begin:end], y[begin:end]))
    return "".join(pieces)


def _path(x: "ndarray[Any, Any]", y: "ndarray[Any, Any]") -> str:
    import numpy

    across, down = numpy.diff(x).astype(int).tolist(), numpy.diff(y).astype(int).tolist()
    moves = " ".join(f"{_short(right)} {_short(drop)}" for right, drop in zip(across, down, strict=True))
    return f"M{x[0] / 100:g} {y[0] / 100:g}" + (f"l{moves}" if moves else "h0")


def _short(hundredths: int) -> str:
    """Hundredths of a millimetre as the shortest decimal: 25 → .25, −5 → -.05, 100 → 1."""
    whole, rest = divmod(abs(hundredths), 100)
    text = f"{whole or ''}.{rest:02}".rstrip("0").rstrip(".") or "0"
    return f"-{text}" if hundredths < 0 and text != "0" else text


def _thinned(values: "ndarray[Any, Any]", step: int) -> "tuple[ndarray[Any, Any], ndarray[Any, Any]]":
    """Return places and values with the lowest and highest of every `2 × step` samples in their order: no peak is lost."""
    import numpy

    width = 2 * step
    count = len(values) // width
    if not count:
        return numpy.arange(len(values)), values
    blocks = values[: count * width].reshape(count, width)
    filled = numpy.where(numpy.isfinite(blocks), blocks, 0.0)
    places = (
        numpy.sort(numpy.stack([filled.argmin(1), filled.argmax(1)], 1), 1)
        + (numpy.arange(count) * width)[:, None]
    )
    gaps = numpy.flatnonzero(~numpy.isfinite(values))
    tail = numpy.arange(count * width, len(values))
    at = numpy.unique(numpy.concatenate([[0], places.ravel(), gaps, tail]))
    return at, values[at]


def _title(recording: Recording, chart: Chart, words: dict[str, str]) -> str:
    name = "" if chart.is_anonymous else _plain_name(recording)
    return " ".join(part for part in (words["title"], name, _time(recording)) if part)


def _header(recording: Recording, chart: Chart, words: dict[str, str]) -> list[str]:
    patient = recording.patient
    who = [words["title"]]
    facts = []
    if not chart.is_anonymous:
        name = _plain_name(recording)
        if name:
            who.append(name)
        if patient.id:
            facts.append(f"{words['id']} {patient.id}")
    if patient.sex:
        facts.append(words[patient.sex])
    if patient.age:
        facts.append(f"{patient.age} {words['years']}")
    if recording.start:
        facts.append(f"{words['start']} {_time(recording)}")
    lines = [" ".join(who), " · ".join(facts), " · ".join(_measured(recording, chart.language))]
    said = f"{words['sep']}".join(recording.reading.statements)
    if said:
        label = words["read"] if recording.reading.source == "confirmed" else words["machine"]
        lines.append(f"{label}{words['colon']}{said}"[:160])
    y = MARGIN_MM + 5.0
    parts = []
    for number, line in enumerate(lines):
        if line:
            kind = "head" if number == 0 else "small"
            parts.append(f'<text class="{kind}" x="{MARGIN_MM + 1}" y="{y:g}">{escape(line)}</text>')
            y += 5.5 if number == 0 else 4.5
    return parts


def _footer(
    recording: Recording, chart: Chart, words: dict[str, str], width: float, height: float
) -> list[str]:
    facts = [f"{chart.speed} mm/s", f"{chart.gain} mm/mV", words["scale"], f"{recording.rate:g} Hz"]
    filters = recording.filters
    if "highpass" in filters or "lowpass" in filters:
        facts.append(f"{words['filters']} {filters.get('highpass', '0')}–{filters.get('lowpass', '')} Hz")
    if "notch" in filters:
        facts.append(f"AC {filters['notch']} Hz")
    if any(lead.factor is None for lead in recording.leads):
        facts.append(words["unscaled"])
    columns = len(_COLUMNS[chart.layout])
    # A tenth of a second less than the strip is no overlap that anybody could see.
    if columns > 1 and recording.seconds + 0.1 < COLUMN_SECONDS[chart.layout] * columns:
        facts.append(words["short"])
    shown = [label for label in STANDARD if recording.lead(label) is None]
    if shown:
        facts.append(f"{words['missing']} {', '.join(shown)}")
    machine = " ".join(part for part in (recording.machine.manufacturer, recording.machine.model) if part)
    y = height - MARGIN_MM
    return [
        f'<text class="small" x="{MARGIN_MM + 1}" y="{y:g}">{escape(" · ".join(facts))}</text>',
        f'<text class="small" x="{width - MARGIN_MM:g}" y="{y:g}" text-anchor="end">{escape(machine)}</text>',
    ]


def _measured(recording: Recording, language: Language) -> list[str]:
    """ "HR 72 bpm", "PR 160 ms", axes together: "P/QRS/T 44/-61/86°"."""
    rows = []
    for row in recording.measurements:
        if not row.name.endswith("_axis"):
            code = codes().measurements[row.name]
            name = code.zh if language == "zh" else code.short
            rows.append(f"{name} {_number(row.value)} {code.shown}")
    axes = [recording.value(name) for name in ("p_axis", "qrs_axis", "t_axis")]
    if any(value is not None for value in axes):
        shown = "/".join(_number(value) if value is not None else "–" for value in axes)
        rows.append(f"{'电轴 ' if language == 'zh' else ''}P/QRS/T {shown}°")
    return rows


def _number(value: Decimal) -> str:
    return f"{value:f}"


def _plain_name(recording: Recording) -> str:
    family, _, given = recording.patient.name.partition("^")
    is_western = (family + given).isascii()
    return f"{given} {family}".strip() if is_western else family + given


def _time(recording: Recording) -> str:
    text = recording.start
    if len(text) < 8:
        return text
    day = f"{text[:4]}-{text[4:6]}-{text[6:8]}"
    clock = text[8:14]
    shown = ":".join(clock[at : at + 2] for at in range(0, len(clock), 2) if clock[at : at + 2].isdigit())
    return f"{day} {shown}".strip()
