"""Every setting of the gateway in one frozen object: defaults, then a TOML file, then `HUTONG_*`, then the command line.

Nothing below this module reads the environment. docs/settings.md is generated from the texts here.
"""

import difflib
import ipaddress
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from terminology.issues import FhirError, InvalidInput, Issue

PREFIX = "HUTONG_"
NIGHTLY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
FILE_VARIABLE = "HUTONG_CONFIG"
# Variables that the command line reads itself; they choose, they don't configure.
NOT_SETTINGS = frozenset({FILE_VARIABLE, "HUTONG_LANG"})
TRUE, FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
MIB = 1024 * 1024


def setting(
    default: Any,
    zh: str,
    en: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare one setting: its default, what it does in both languages, and what it may be."""
    rules = {"zh": zh, "en": en, "at_least": at_least, "at_most": at_most, "choices": choices}
    return field(default=default, metadata=rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator may choose. In TOML a table and a key make one name: `[mllp] port` is `mllp_port`."""

    data: Path = setting(
        Path("hutong-data"),
        "数据目录：存储库、消息日志、锁文件。",
        "Data folder: store, message journal, lock.",
    )
    host: str = setting(
        "127.0.0.1",
        "HTTP 与 MLLP 监听地址；非本机地址须同时设置 insecure。",
        "Address that HTTP and MLLP listen on; anything but loopback needs insecure as well.",
    )
    port: int = setting(
        8000, "HTTP 端口；0 为任选空闲端口。", "HTTP port; 0 takes any free one.", at_least=0, at_most=65535
    )
    insecure: bool = setting(
        False,
        "在没有访问控制的情况下仍允许监听非本机地址。",
        "Allow a bind other than loopback although there is no access control.",
    )
    base_url: str = setting(
        "",
        "客户端看到的 FHIR 根地址；空则取请求的 Host。",
        "The FHIR base that clients see; empty takes the Host of each request.",
    )
    tls_cert: Path | None = setting(None, "HTTPS 证书链（PEM）。", "Certificate chain of HTTPS (PEM).")
    tls_key: Path | None = setting(None, "HTTPS 私钥（PEM）。", "Private key of HTTPS (PEM).")
    tls_client_ca: Path | None = setting(
        None,
        "签发客户端证书的 CA（PEM）；设置后 HTTPS 要求双向认证。",
        "CA of client certificates (PEM); when set, HTTPS asks for mutual TLS.",
    )
    store: str = setting(
        "sqlite",
        "存储：sqlite、memory，或 postgresql:// 连接串。",
        "Where resources live: sqlite, memory, or a postgresql:// DSN.",
    )
    validation: str = setting(
        "structure",
        "REST 写入前的校验级别。",
        "How a resource is checked before a REST write.",
        choices=("off", "structure", "full"),
    )
    gate: bool = setting(
        False,
        "生产闸门：没有相应证书的成员，其请求与消息一律拒绝（证书在数据目录的 certificates 中）。",
        "The gate of production: requests and messages of members without a certificate for them are refused (certificates are in the data folder, under certificates).",
    )
    gate_member_header: str = setting(
        "x-hutong-member",
        "指明成员单位的 HTTP 头，由前置的接入层设置。",
        "HTTP header that names the member; set by the access layer in front.",
    )
    senders: Path | None = setting(
        None,
        "发送方设置文件（YAML）：各院私有 OID、时区、字符集，见 docs/adapters/hl7v3.md。",
        "File of senders (YAML): their private OIDs, zones and charsets, see docs/adapters/hl7v3.md.",
    )
    sources: Path | None = setting(
        None,
        "数据源文件（YAML）：自动读取的文件夹、数据库视图和厂商接口，见 docs/operations/sources.md。",
        "File of sources (YAML): folders, database views and vendor interfaces that are read, see docs/operations/sources.md.",
    )
    mllp: bool = setting(True, "是否开启 MLLP 接收。", "Whether the MLLP listener runs.")
    mllp_port: int = setting(
        2575, "MLLP 端口；0 为任选空闲端口。", "MLLP port; 0 takes any free one.", at_least=0, at_most=65535
    )
    mllp_tls_cert: Path | None = setting(
        None, "MLLP 的 TLS 证书链（PEM）。", "Certificate chain of MLLP over TLS (PEM)."
    )
    mllp_tls_key: Path | None = setting(
        None, "MLLP 的 TLS 私钥（PEM）。", "Private key of MLLP over TLS (PEM)."
    )
    mllp_tls_client_ca: Path | None = setting(
        None,
        "签发 MLLP 客户端证书的 CA（PEM）；设置后要求双向认证。",
        "CA of MLLP client certificates (PEM); when set, mutual TLS is required.",
    )
    mllp_connections: int = setting(
        256, "同时存在的 MLLP 连接上限。", "How many MLLP connections may be open.", at_least=1, at_most=65536
    )
    mllp_pending: int = setting(
        64,
        "一个连接上未应答消息的上限，超过则暂停读取。",
        "How many messages of one connection may wait for their answer before reading pauses.",
        at_least=1,
        at_most=10_000,
    )
    mllp_idle_seconds: float = setting(
        600.0, "连接空闲多久后关闭。", "Close a connection that was silent for so long.", at_least=0.05
    )
    mllp_frame_seconds: float = setting(
        60.0,
        "一帧从开始到结束的最长时间。",
        "How long one frame may take from its first byte to its last.",
        at_least=0.05,
    )
    astm: bool = setting(
        False,
        "是否开启检验设备端口（ASTM E1381/E1394）。",
        "Whether the port of laboratory devices runs (ASTM E1381/E1394).",
    )
    astm_port: int = setting(
        2576,
        "检验设备端口；0 为任选空闲端口。",
        "Port of laboratory devices; 0 takes any free one.",
        at_least=0,
        at_most=65535,
    )
    astm_connections: int = setting(
        128, "同时连接的设备上限。", "How many devices may be connected.", at_least=1, at_most=65536
    )
    dicom: bool = setting(
        False,
        "是否开启 DICOM 接收（C-STORE、工作列表、MPPS）；DICOMweb 始终可用。",
        "Whether the DICOM listener runs (C-STORE, worklist, MPPS); DICOMweb is there anyway.",
    )
    dicom_port: int = setting(
        11112,
        "DICOM 端口；0 为任选空闲端口。",
        "DICOM port; 0 takes any free one.",
        at_least=0,
        at_most=65535,
    )
    dicom_ae_title: str = setting(
        "HUTONG", "本网关的 AE 标题（最长 16 个字符）。", "AE title of this gateway (at most 16 characters)."
    )
    dicom_peers: str = setting(
        "",
        "允许呼叫的 AE 标题，用逗号分隔；空为不限。",
        "AE titles that may call, separated by commas; empty lets any call.",
    )
    dicom_associations: int = setting(
        32,
        "同时存在的 DICOM 关联上限。",
        "How many DICOM associations may be open.",
        at_least=1,
        at_most=1024,
    )
    dicom_folder: Path | None = setting(
        None,
        "影像对象目录；空为数据目录下的 imaging。",
        "Object folder; empty is imaging in the data folder.",
    )
    dicom_quiet_seconds: float = setting(
        60.0,
        "检查多久没有新影像后视为完整（available）。",
        "After how long without new objects a study counts as whole (available).",
        at_least=0.1,
    )
    dicom_patient_issuer: str = setting(
        "",
        "影像中 PatientID 未注明发号机构时所属的机构（与 PID-3.4 的写法相同）。",
        "Whose numbers PatientIDs without an issuer are (written as in PID-3.4).",
    )
    dicom_charset: str = setting(
        "GB18030",
        "工作列表查询未指明字符集时使用的字符集。",
        "Charset of worklist answers to devices that name none.",
        choices=("GB18030", "GBK", "ISO_IR 192", "ISO_IR 6"),
    )
    dicom_forward: str = setting(
        "",
        "转发的归档，用逗号分隔：名=dicom://AE标题@主机:端口，或 名=https://主机/dicom-web。",
        "Archives to pass objects on to, separated by commas: NAME=dicom://AETITLE@HOST:PORT or NAME=https://HOST/dicom-web.",
    )
    dicom_max_bytes: int = setting(
        4096 * MIB, "单个影像对象的大小上限（字节）。", "Largest DICOM object in bytes.", at_least=1024
    )
    message_max_bytes: int = setting(
        16 * MIB, "单条消息或一批的大小上限（字节）。", "Largest message or batch in bytes.", at_least=1024
    )
    fallback_charset: str = setting(
        "",
        "声明的字符集与 UTF-8、GB18030 都无法解码时再试的字符集；空为不试。",
        "Charset tried after the declared one, UTF-8 and GB18030 failed; empty tries none.",
    )
    timezone: str = setting(
        "Asia/Shanghai", "消息中没有时区的时间按此时区理解。", "Zone of message times that carry no offset."
    )
    maps: Path | None = setting(
        None,
        "本地映射目录（覆盖或扩展自带映射），修改后 2 秒内生效。",
        "Folder of your own maps (extending the shipped ones); changes are active within 2 s.",
    )
    packs: Path | None = setting(
        None,
        "互认规则包目录（逐项覆盖自带的规则包）。",
        "Folder of recognition packs (overriding the built-in one item by item).",
    )
    conformance_nightly: str = setting(
        "",
        "每天此时（HH:MM）对各成员运行冒烟测试并评定数据质量；变差时提出暂停建议。空为不运行。",
        "When (HH:MM) members' smoke tests and data quality are checked each day; what got worse is proposed. Empty: never.",
    )
    quality_least: str = setting(
        "C",
        "数据质量连续三晚低于此等级时提出暂停建议。",
        "A suspension is proposed when the data quality is below this grade for three nights.",
        choices=("A", "B", "C", "D", "E"),
    )
    recognition_reminders: bool = setting(
        True,
        "就诊和开单时生成互认提醒（Communication）。",
        "Make recognition reminders (Communication) at visits and orders.",
    )
    vendor_clients: Path | None = setting(
        None,
        '厂商接口 /api/report 的调用方和密钥（TOML：名称 = "密钥"）；未设置时不验签，仅限本机试用。',
        'Callers of /api/report and their secrets (TOML: name = "secret"); without it signatures aren\'t checked: a sandbox.',
    )
    workflow: bool = setting(
        True,
        "状态机:申请、任务、报告等的状态只能按流程变更;关闭后不检查,也不派生任务。",
        "State machines: orders, tasks, reports and the like change state only as the workflows allow; off checks nothing and makes no tasks.",
    )
    workflow_packs: Path | None = setting(
        None,
        "县域流程规则包目录(路由、时限、阶段等,同名覆盖自带的),修改后 2 秒内生效。",
        "Folder of the county's workflow packs (routing, time limits, phases; one of the same name replaces the shipped one); changes are active within 2 s.",
    )
    chronic_care: bool = setting(
        True,
        "慢病管理:新结果自动分级、完成随访、到期提醒。",
        "Chronic care: new results grade their patients, complete visits, and what is due is called.",
    )
    critical_values: bool = setting(
        True,
        "危急值:自动发现、双人复核、通知、逐级催告(规则包 critical-values)。",
        "Critical values: found, checked by two, told, called for again (pack critical-values).",
    )
    public_health: bool = setting(
        True,
        "公共卫生:传染病报告任务(2/24 小时)、孕产妇与儿童五色分级、出院随访自动产生;敏感数据自动加密级 R。",
        "Public health: tasks to report infectious diseases (2 h, 24 h), five colours of pregnancies and children, follow-up after discharge; sensitive data is labelled R.",
    )
    care_packs: Path | None = setting(
        None,
        "县域慢病分级规则包目录(同名且更新的覆盖自带的)。",
        "Folder of the county's packs of chronic diseases (a newer one of the same name replaces the shipped one).",
    )
    actor_organization_header: str = setting(
        "x-hutong-organization",
        "指明操作机构(Organization 引用或 id)的 HTTP 头,由前置的接入层设置。",
        "HTTP header that names the acting organisation (Organization reference or id); set by the access layer in front.",
    )
    actor_patient_header: str = setting(
        "x-hutong-patient",
        "指明患者本人(Patient 的 id)的 HTTP 头,由前置的接入层设置;有此头的请求只能读取本人档案。",
        "HTTP header that names the patient who calls (id of the Patient); set by the access layer in front. Such a call may only read his own record.",
    )
    health_card_key: Path | None = setting(
        None,
        "电子健康卡密钥文件(与卡管平台一致),用于验证二维码;未设置时不识读。",
        "File with the key of the health card platform, by which QR codes are proven; without it none is read.",
    )
    actor_roles_header: str = setting(
        "x-hutong-roles",
        "指明操作者岗位代码(逗号分隔)的 HTTP 头。",
        "HTTP header with the caller's role codes, separated by commas.",
    )
    actor_practitioner_header: str = setting(
        "x-hutong-practitioner",
        "指明操作者本人(PractitionerRole 或 Practitioner 引用)的 HTTP 头。",
        "HTTP header that names the acting person (PractitionerRole or Practitioner reference).",
    )
    destinations: Path | None = setting(
        None,
        "发送目标的 YAML 文件或目录（谁收什么、以何种格式和通道），修改后 2 秒内生效。",
        "YAML file or folder of destinations (who gets what, in which form and over which channel); changes are active within 2 s.",
    )
    deliveries_keep_days: float = setting(
        30.0,
        "已送达的发送记录保留多少天。",
        "For how many days delivered deliveries are kept.",
        at_least=0.01,
        at_most=36_500,
    )
    subscription_hosts: str = setting(
        "*",
        "订阅通知可以发往的主机，逗号分隔，可用通配符，例如 *.example.org,10.0.0.*。",
        "Hosts that notifications of subscriptions may go to, by commas, with wildcards: *.example.org,10.0.0.*",
    )
    control_id_reuse_hours: float = setting(
        24.0,
        "同一来源多久之后允许以相同的 MSH-10 发送另一内容（有些设备每天从 1 计数）。",
        "After how long a source may use an MSH-10 again with other content (some devices count from 1 each day).",
        at_least=0,
    )
    retry_attempts: int = setting(
        5,
        "处理失败后自动重试的次数，之后转人工。",
        "How often a failed message is tried again before it is parked for a person.",
        at_least=0,
        at_most=100,
    )
    retry_seconds: float = setting(
        2.0,
        "第一次重试前的等待，之后逐次加倍。",
        "Wait before the first retry; doubles each time.",
        at_least=0.01,
    )
    min_free_mib: int = setting(
        64,
        "数据盘剩余空间低于此值（MiB）时拒收新消息。",
        "Refuse new messages when the data disk has less than this free (MiB).",
        at_least=0,
    )
    log_level: str = setting(
        "info", "日志级别。", "How much is logged.", choices=("debug", "info", "warning", "error")
    )
    log_format: str = setting(
        "json", "日志格式：json 或 text。", "Shape of the log: json or text.", choices=("json", "text")
    )

    def __post_init__(self) -> None:
        issues = [issue for spec in fields(self) for issue in _rule_problems(spec, getattr(self, spec.name))]
        issues += _joint_problems(self)
        if issues:
            raise InvalidInput(issues)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def now(self) -> datetime:
        """Return the current time with the offset of the settings' zone: the clock that parts are given."""
        return datetime.now(self.zone)


def load_settings(environment: Mapping[str, str], *, file: Path | None = None, **chosen: Any) -> Settings:
    """Return the settings; `chosen` are command-line values, None meaning "not given".

    Raises InvalidInput with every problem at once: unknown names, wrong types, values out of range, missing files.
    """
    named = file or (Path(environment[FILE_VARIABLE]) if environment.get(FILE_VARIABLE) else None)
    values: dict[str, Any] = {}
    issues: list[Issue] = []
    specs = {spec.name: spec for spec in fields(Settings)}
    layers = [_file_values(named)] if named else []
    layers.append(
        (name, name.removeprefix(PREFIX).lower(), text)
        for name, text in sorted(environment.items())
        if name.startswith(PREFIX) and name not in NOT_SETTINGS
    )
    for layer in layers:
        for written, name, value in layer:
            if name not in specs:
                near = difflib.get_close_matches(name, specs, n=1, cutoff=0.5)
                issues.append(
                    Issue("HT-CLI-02", {"name": written, "near": near[0] if near else "docs/settings.md"})
                )
                continue
            try:
                values[name] = _read(_type_of(name), value)
            except ValueError:
                issues.append(Issue("HT-CLI-03", {"name": written, "value": value, "type": type_name(name)}))
    values.update({name: value for name, value in chosen.items() if value is not None})
    try:
        settings = Settings(**values)
    except FhirError as error:
        raise InvalidInput([*issues, *error.issues]) from None
    if issues:
        raise InvalidInput(issues)
    return settings


def settings_page() -> str:
    """Return docs/settings.md: every setting with its three spellings, type, default and texts."""
    lines = [
        "# Settings 设置",
        "<!-- Written by scripts/build_settings_docs from gateway/settings.py. -->",
        "",
        "Order, the later wins: default, TOML file (`--config FILE` or `HUTONG_CONFIG`), environment `HUTONG_*`, command line.",
        "后者优先：默认值、TOML 文件、环境变量、命令行。",
        "",
        "In TOML `mllp_port = 2575` and `[mllp]` with `port = 2575` are the same. Unknown names and wrong values stop the",
        "start with every problem at once and how to repair it. `HUTONG_LANG` (zh or en) chooses the language of the command line.",
        "",
        "| setting | environment | type | default | what it does 作用 |",
        "|---|---|---|---|---|",
    ]
    for spec in fields(Settings):
        default = (
            ""
            if spec.default in (None, "")
            else f"`{str(spec.default).lower() if isinstance(spec.default, bool) else spec.default}`"
        )
        rules = spec.metadata
        kind = " \\| ".join(rules["choices"]) or type_name(spec.name)
        text = f"{rules['zh']}<br>{rules['en']}"
        lines.append(f"| `{spec.name}` | `{PREFIX}{spec.name.upper()}` | {kind} | {default} | {text} |")
    return "\n".join(lines) + "\n"


def type_name(name: str) -> str:
    """Return the type of a setting as people write it: text, number, true/false, path."""
    kind = _type_of(name)
    return {str: "text", int: "integer", float: "number", bool: "true/false", Path: "path"}[kind]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _file_values(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield (as written, setting, value) of a TOML file; tables and keys are joined with an underscore."""
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidInput("HT-CLI-04", path=path, detail=error.strerror) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("HT-CLI-05", path=path, detail=str(error)) from None
    for key, value in tree.items():
        if isinstance(value, dict):
            for inner, leaf in value.items():
                yield f"{key}.{inner}", f"{key}_{inner}", leaf
        else:
            yield key, key, value


def _type_of(name: str) -> type:
    annotation = typing.get_type_hints(Settings)[name]
    if isinstance(annotation, types.UnionType):
        annotation = next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    return typing.cast(type, annotation)


def _read(kind: type, value: Any) -> Any:
    """Return `value` as `kind`; raises ValueError when it isn't one."""
    if kind is bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in TRUE | FALSE:
            return value.lower() in TRUE
        raise ValueError(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(value)
    if kind is Path:
        return Path(str(value)).expanduser() if value else None
    if kind is str and not isinstance(value, str):
        raise ValueError(value)
    return kind(value)


def _rule_problems(spec: Field[Any], value: Any) -> Iterator[Issue]:
    rules = spec.metadata
    if rules["choices"] and value not in rules["choices"]:
        yield Issue("HT-CLI-06", {"name": spec.name, "value": value, "choices": " | ".join(rules["choices"])})
    low, high = rules["at_least"], rules["at_most"]
    if (low is not None and value < low) or (high is not None and value > high):
        span = f"{low if low is not None else ''} … {high if high is not None else ''}"
        yield Issue("HT-CLI-07", {"name": spec.name, "value": value, "range": span.strip()})


def _joint_problems(settings: Settings) -> Iterator[Issue]:
    if not is_loopback(settings.host) and not settings.insecure:
        yield Issue("HT-CLI-08", {"host": settings.host})
    if settings.conformance_nightly and not NIGHTLY.fullmatch(settings.conformance_nightly):
        yield Issue(
            "HT-CLI-06",
            {
                "name": "conformance_nightly",
                "value": settings.conformance_nightly,
                "choices": "00:00 … 23:59",
            },
        )
    for prefix in ("tls", "mllp_tls"):
        cert, key = getattr(settings, f"{prefix}_cert"), getattr(settings, f"{prefix}_key")
        if (cert is None) != (key is None) or (cert is None and getattr(settings, f"{prefix}_client_ca")):
            yield Issue("HT-CLI-09", {"cert": f"{prefix}_cert", "key": f"{prefix}_key"})
        for name in (f"{prefix}_cert", f"{prefix}_key", f"{prefix}_client_ca"):
            path = getattr(settings, name)
            if path is not None and not path.is_file():
                yield Issue("HT-CLI-10", {"name": name, "path": path})
    if settings.store not in ("sqlite", "memory") and not settings.store.startswith(
        ("postgresql://", "postgres://")
    ):
        yield Issue(
            "HT-CLI-06",
            {"name": "store", "value": settings.store, "choices": "sqlite | memory | postgresql://…"},
        )
    title = settings.dicom_ae_title
    if (
        not title.strip()
        or len(title) > 16
        or not title.isascii()
        or not title.isprintable()
        or "\\" in title
    ):
        yield Issue("HT-CLI-03", {"name": "dicom_ae_title", "value": title[:40], "type": "AE title (PS3.5)"})
    try:
        ZoneInfo(settings.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Issue("HT-CLI-11", {"name": "timezone", "value": settings.timezone})
