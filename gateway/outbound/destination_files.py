"""The files of destinations: a YAML file or a folder of them (docs/operations/destinations.md).

Every mistake is told at once with its place. Files are looked at again when they change, so that a new destination
needs no restart.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.outbound.destination import (
    ACKNOWLEDGEMENTS,
    CHANNELS,
    TOPICS,
    Destination,
    Retrying,
    Success,
    Tls,
)
from mappings.outbound.charset import writing_codec
from terminology.issues import FhirError, InvalidInput, Issue

NAME_LIMIT = 80
FILE_LIMIT = 1_000_000

Wrong = Callable[[str, str], None]
"""Takes a key and what is wrong with it."""

# Maps for a format that a destination names instead of its maps.
FORMATS: dict[str, dict[str, str]] = {
    "hl7v2": {
        "report-final": "out-hl7v2-results",
        "report-corrected": "out-hl7v2-results",
        "task-status": "out-hl7v2-order-status",
        "task-requested": "out-hl7v2-task",
    },
    "platform-xml": {
        "report-final": "out-platform-result",
        "report-corrected": "out-platform-result",
        "task-status": "out-platform-status",
    },
    "cda": {"report-final": "out-cda-document", "report-corrected": "out-cda-document"},
    "json": {
        **dict.fromkeys(
            (
                "task-requested",
                "critical-value",
                "referral-status",
                "careplan-due",
                "recognition",
                "catalogue-scheduled",
                "catalogue-in-force",
                "member-status",
            ),
            "out-vendor-event",
        ),
        "report-final": "out-vendor-result",
        "report-corrected": "out-vendor-result",
        "task-status": "out-vendor-status",
    },
}
_KEYS = {
    "name",
    "organization",
    "channel",
    "format",
    "maps",
    "topics",
    "address",
    "url",
    "folder",
    "charset",
    "ack",
    "order",
    "parallel",
    "sender",
    "receiver",
    "zone",
    "systems",
    "parameters",
    "headers",
    "timeout_seconds",
    "retry",
    "tls",
    "success",
    "action",
    "operation",
    "namespace",
    "soap_version",
    "method",
    "processing",
    "paused",
}
_RETRY = {"first_seconds": "first", "longest_seconds": "longest", "hours": "hours", "refusals": "refusals"}


class Destinations:
    """The destinations of a file or folder. `problems`: what is wrong, by file; a broken file leaves its last good state."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.problems: dict[str, tuple[Issue, ...]] = {}
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._files: dict[Path, list[Destination]] = {}

    def refresh(self) -> bool:
        """Read what changed; return whether anything did."""
        stamps = {file: _stamp(file) for file in self._list()}
        if stamps == self._stamps:
            return False
        for gone in set(self._stamps) - set(stamps):
            self._files.pop(gone, None)
            self.problems.pop(gone.name, None)
        for file, stamp in stamps.items():
            if self._stamps.get(file) == stamp:
                continue
            others = {row.name for other, rows in self._files.items() if other != file for row in rows}
            try:
                self._files[file] = read_destinations(file.read_bytes(), file=file.name, known=others)
                self.problems.pop(file.name, None)
            except FhirError as error:
                self.problems[file.name] = error.issues
            except OSError as error:
                self.problems[file.name] = (_problem(file.name, "-", "-", error.strerror or str(error)),)
        self._stamps = stamps
        return True

    def all(self) -> dict[str, Destination]:
        return {row.name: row for rows in self._files.values() for row in rows}

    def _list(self) -> Iterable[Path]:
        if self.path is None:
            return []
        if self.path.is_dir():
            return sorted(file for file in self.path.iterdir() if file.suffix in (".yaml", ".yml"))
        return [self.path]


def read_destinations(body: bytes, *, file: str, known: Iterable[str] = ()) -> list[Destination]:
    """Return the destinations of a file; raises InvalidInput with every problem (HT-OUT-01…)."""
    import yaml

    if len(body) > FILE_LIMIT:
        raise InvalidInput([_problem(file, "-", "-", f"more than {FILE_LIMIT} bytes")])
    try:
        tree = yaml.safe_load(body.decode("utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidInput([_problem(file, "-", "-", str(error).replace("\n", " ")[:200])]) from None
    rows = tree.get("destinations") if isinstance(tree, dict) else None
    if not isinstance(rows, list):
        raise InvalidInput([_problem(file, "-", "destinations", "a list of destinations is needed")])
    issues: list[Issue] = []
    made: list[Destination] = []
    names = set(known)
    for number, row in enumerate(rows, 1):
        found = _destination(row, file, number, issues)
        if found is None:
            continue
        if found.name in names:
            issues.append(_problem(file, found.name, "name", "another destination has it"))
        names.add(found.name)
        made.append(found)
    if issues:
        raise InvalidInput(issues)
    return made


def _destination(row: Any, file: str, number: int, issues: list[Issue]) -> Destination | None:
    if not isinstance(row, dict):
        issues.append(_problem(file, f"#{number}", "-", "a mapping is needed"))
        return None
    name = str(row.get("name") or "")
    shown = name or f"#{number}"
    before = len(issues)

    def wrong(key: str, reason: str) -> None:
        issues.append(_problem(file, shown, key, reason))

    for key in row:
        if key not in _KEYS:
            wrong(str(key), f"unknown; known: {', '.join(sorted(_KEYS))}")
    if not name or len(name) > NAME_LIMIT or "/" in name:
        wrong("name", f"a name of at most {NAME_LIMIT} characters without / is needed")
    channel = str(row.get("channel") or "")
    if channel not in CHANNELS:
        wrong("channel", f"one of {', '.join(CHANNELS)}")
    maps = _maps(row, wrong)
    address = _address(row, channel, wrong)
    charset = str(row.get("charset") or "UTF-8")
    if writing_codec(charset) is None:
        wrong("charset", f"{charset} is unknown")
    ack = str(row.get("ack") or "application")
    if ack not in ACKNOWLEDGEMENTS:
        wrong("ack", f"one of {', '.join(ACKNOWLEDGEMENTS)}")
    order = str(row.get("order") or "key")
    if order not in ("key", "destination"):
        wrong("order", "key or destination")
    parallel = _number(row, "parallel", 4 if channel in ("http", "soap") else 1, 1, 64, wrong)
    organization = row.get("organization", "*")
    made = Destination(
        name=name,
        channel=channel,
        maps=maps,
        address=address,
        organizations=tuple(str(one) for one in _list(organization)) or ("*",),
        charset=charset,
        ack=ack,
        is_ordered=order == "destination",
        parallel=1 if order == "destination" else int(parallel),
        sender=_pair(row.get("sender"), ("HUTONG", "")),
        receiver=_pair(row.get("receiver"), ("", "")),
        zone=_zone(row, wrong),
        systems=_texts(row, "systems", wrong),
        parameters=_texts(row, "parameters", wrong),
        headers=_headers(row, wrong),
        timeout=_number(row, "timeout_seconds", 30.0, 0.1, 3600, wrong),
        retry=_retry(row, wrong),
        tls=_tls(row, wrong),
        success=_success(row, wrong),
        action=str(row.get("action") or ""),
        operation=str(row.get("operation") or "HIPMessageServer"),
        namespace=str(row.get("namespace") or "urn:hl7-org:v3"),
        soap_version=_choice(row, "soap_version", ("1.2", "1.1"), wrong),
        method=_choice(row, "method", ("POST", "PUT"), wrong),
        processing=str(row.get("processing") or "P"),
        is_paused=row.get("paused") is True,
    )
    return made if len(issues) == before else None


def _maps(row: dict[str, Any], wrong: Wrong) -> dict[str, str]:
    given, format = row.get("maps"), row.get("format")
    if (given is None) == (format is None):
        wrong("maps", "either `maps` (topic: map) or `format` is needed")
        return {}
    if format is not None:
        found = FORMATS.get(str(format))
        if found is None:
            wrong("format", f"one of {', '.join(FORMATS)}")
            return {}
    elif isinstance(given, dict):
        found = {str(topic): str(map) for topic, map in given.items()}
    else:
        wrong("maps", "a mapping of topics to maps is needed")
        return {}
    topics = [str(one) for one in _list(row.get("topics"))] or list(found)
    for topic in dict.fromkeys((*topics, *found)):
        if topic not in TOPICS:
            wrong("topics", f"{topic} is unknown; known: {', '.join(TOPICS)}")
        elif topic not in found:
            wrong("topics", f"没有 {topic} 的映射 / no map for {topic}")
    return {topic: map for topic, map in found.items() if topic in topics}


def _address(row: dict[str, Any], channel: str, wrong: Wrong) -> str:
    key = {"mllp": "address", "http": "url", "soap": "url", "folder": "folder"}.get(channel, "address")
    text = str(row.get(key) or "")
    if channel == "mllp":
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            wrong(key, "host:port is needed")
    elif channel in ("http", "soap"):
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            wrong(key, "an http:// or https:// address is needed")
    elif channel == "folder" and not text:
        wrong(key, "the path of a folder is needed")
    return text


def _retry(row: dict[str, Any], wrong: Wrong) -> Retrying:
    given = row.get("retry") or {}
    if not isinstance(given, dict):
        wrong("retry", "a mapping is needed")
        return Retrying()
    for key in given:
        if key not in _RETRY:
            wrong(f"retry.{key}", f"unknown; known: {', '.join(_RETRY)}")
    default = {spec.name: spec.default for spec in fields(Retrying)}
    limits = {
        "first": (0.01, 3600),
        "longest": (0.01, 86_400),
        "hours": (0.0, 24 * 365),
        "refusals": (1, 1000),
    }
    values: dict[str, Any] = {
        name: _number(given, key, default[name], *limits[name], wrong) for key, name in _RETRY.items()
    }
    values["refusals"] = int(values["refusals"])
    return Retrying(**values)


def _tls(row: dict[str, Any], wrong: Wrong) -> Tls | None:
    given = row.get("tls")
    if given is None or given is False:
        return None
    if given is True:
        return Tls()
    if not isinstance(given, dict) or set(given) - {"ca", "cert", "key"}:
        wrong("tls", "true, or a mapping with ca, cert, key")
        return None
    paths = {key: Path(str(value)) for key, value in given.items() if value}
    for key, path in paths.items():
        if not path.is_file():
            wrong(f"tls.{key}", f"{path} is no file")
    if ("cert" in paths) != ("key" in paths):
        wrong("tls", "cert and key go together")
    return Tls(**paths)


def _success(row: dict[str, Any], wrong: Wrong) -> Success | None:
    given = row.get("success")
    if given is None:
        return None
    if not isinstance(given, dict) or set(given) != {"path", "values"}:
        wrong("success", "a mapping with path and values is needed")
        return None
    return Success(str(given["path"]), tuple(str(one) for one in _list(given["values"])))


def _zone(row: dict[str, Any], wrong: Wrong) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    text = str(row.get("zone") or "")
    try:
        if text:
            ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        wrong("zone", f"{text} is no time zone")
    return text


def _headers(row: dict[str, Any], wrong: Wrong) -> dict[str, str]:
    found = _texts(row, "headers", wrong)
    for name, value in found.items():
        if not name.isascii() or "\n" in value or "\r" in value:
            wrong("headers", f"{name[:40]} is no header")
    return found


def _texts(row: dict[str, Any], key: str, wrong: Wrong) -> dict[str, str]:
    given = row.get(key) or {}
    if not isinstance(given, dict):
        wrong(key, "a mapping is needed")
        return {}
    return {str(name): str(value) for name, value in given.items()}


def _choice(row: dict[str, Any], key: str, known: tuple[str, ...], wrong: Wrong) -> str:
    text = str(row.get(key) or known[0])
    if text not in known:
        wrong(key, f"one of {', '.join(known)}")
    return text


def _number(row: dict[str, Any], key: str, default: Any, low: float, high: float, wrong: Wrong) -> float:
    value = row.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        wrong(key, f"a number of {low:g} … {high:g}")
        return float(default)
    return float(value)


def _pair(value: Any, default: tuple[str, str]) -> tuple[str, str]:
    parts = [str(one) for one in _list(value)]
    return (parts[0], parts[1] if len(parts) > 1 else "") if parts else default


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


def _problem(file: str, name: str, key: str, reason: str) -> Issue:
    return Issue("HT-OUT-01", {"file": file, "name": name, "key": key, "reason": reason}, source=file)
