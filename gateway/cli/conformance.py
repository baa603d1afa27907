"""`hutong conformance …`: list, run, coverage, certificate, compare; the same runner as /conformance and pytest."""

import json
import os
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conformance.reports import compare as compare_runs
from conformance.reports import from_document, to_document
from conformance.reports.mask import POLICIES, Policy
from conformance.testing.requirements import coverage as covered
from conformance.testing.requirements import load_register
from conformance.testing.result import Result, Run, Step
from conformance.testing.target import Target
from conformance.testing.verdict import verdicts
from conformance.testing.yaml_test import load_suites, load_tests, select
from gateway.cli import FINDINGS
from gateway.cli.serve import AsJson, Data
from gateway.cli.speech import language, print_json, say, styled
from gateway.settings import Settings, load_settings
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Issue

if TYPE_CHECKING:
    from conformance.testing.certificate import Certificate

Roles = Annotated[
    list[str] | None, typer.Option("--role", help=say("角色，可多次。", "Role; may be repeated."))
]
Ids = Annotated[
    list[str] | None,
    typer.Option(
        "--test", help=say("测试或要求的编号，可多次。", "Test or requirement id; may be repeated.")
    ),
]
TargetFile = Annotated[
    Path, typer.Option("--target", help=say("被测目标文件（YAML）。", "The target's file (YAML)."))
]
Suites = Annotated[
    list[Path] | None, typer.Option("--suite", help=say("另外的测试文件。", "Further test files."))
]
Out = Annotated[Path | None, typer.Option(help=say("报告文件夹。", "Folder for the reports."))]
Scripts = Annotated[
    list[Path] | None,
    typer.Option("--script", help=say("TestScript 文件或文件夹。", "TestScript files or folders.")),
]
Failed = Annotated[
    Path | None,
    typer.Option(help=say("只重跑该次运行中未通过的。", "Run again only what did not pass in this run.")),
]


def list_tests(role: Roles = None, suite: Suites = None, as_json: AsJson = False) -> None:
    tests = select(_tests(suite), roles=role or ())
    if as_json:
        rows = [
            {"id": row.id, "zh": row.zh, "en": row.en, "roles": row.roles, "requirements": row.requirements,
             "negative": row.is_negative}
            for row in tests
        ]  # fmt: skip
        print_json({"tests": rows})
        return
    for row in tests:
        print(f"{row.id}  {say(row.zh, row.en)}  {styled(', '.join(row.roles), 'dim')}")
    print(say(f"共 {len(tests)} 个测试", f"{len(tests)} tests"))


def run(
    target: TargetFile,
    role: Roles = None,
    test: Ids = None,
    suite: Suites = None,
    script: Scripts = None,
    failed: Failed = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    from conformance.testing.ports import open_target
    from conformance.testing.run import run_tests

    given = load_target(target)
    wanted = list(test or ())
    if failed is not None:
        wanted += [row["id"] for row in _document(failed)["results"] if row["state"] != "pass"]
    port = open_target(given, target.parent, tell=None if as_json else print, counterpart=_sandbox)
    now = datetime.now().astimezone()
    try:
        if script:
            found = _scripts(script, port, now)
        else:
            tests = select(_tests(suite), roles=role or port.roles, ids=wanted)
            found = run_tests(tests, port, now=now, language=language(), tell=None if as_json else _tell)
    finally:
        port.close()
    document = to_document(found, masking=masking_of(given))
    document["target_file"] = {name: given.get(name) for name in ("member", "vendor", "product", "version")}
    if out is not None:
        _write(document, out)
    if as_json:
        print_json(document)
    else:
        counts = ", ".join(f"{state} {count}" for state, count in document["counts"].items())
        print(styled(f"{document['target']}: {counts}", "bold"))
    if any(row.state not in ("pass", "attested") for row in found.results):
        raise typer.Exit(FINDINGS)


def _sandbox() -> Any:
    """The centre's part is this very gateway, over a store of its own."""
    from gateway.members.sandbox import Sandbox

    return Sandbox()


def coverage(suite: Suites = None, as_json: AsJson = False) -> None:
    register = load_register()
    found = covered(register, _tests(suite))
    untested = [{"id": row.id, "level": row.level} for row in found.untested]
    figures = {
        "requirements": len(register),
        "tested": len(register) - len(untested),
        "untested": untested,
        "unknown": list(found.unknown),
        "complete": found.is_complete,
    }
    if as_json:
        print_json(figures)
    else:
        print(
            say(
                f"要求 {len(register)} 条，有测试的 {figures['tested']} 条",
                f"{len(register)} requirements, {figures['tested']} with tests",
            )
        )
        for row in found.untested:
            print(f"{row.level} {row.id} {say(row.zh, row.en)}")
        for id in found.unknown:
            print(say(f"测试引用了未登记的要求 {id}", f"a test names the unknown requirement {id}"))
    if not found.is_complete:
        raise typer.Exit(FINDINGS)


def certificate(
    run_file: Annotated[Path | None, typer.Option("--run", help=say("运行文档（run.json）。", "Run document (run.json)."))] = None,
    target: Annotated[Path | None, typer.Option(help=say("被测目标文件。", "The target's file."))] = None,
    key: Annotated[Path | None, typer.Option(help=say("中心私钥（PEM）；没有则新建。", "The centre's private key (PEM); made when absent."))] = None,
    out: Out = None,
    verify: Annotated[Path | None, typer.Option(help=say("要验证的证书（JWS）。", "Certificate (JWS) to verify."))] = None,
    public: Annotated[Path | None, typer.Option(help=say("中心公钥（PEM）。", "The centre's public key (PEM)."))] = None,
    role: Annotated[str | None, typer.Option(help=say("须含的角色。", "A role that it must have."))] = None,
    by: Annotated[str, typer.Option(help=say("签发人；写入数据目录，网关随即放行。", "Who issues; kept in the data folder, the gate follows."))] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    from dataclasses import asdict

    from conformance.testing.certificate import verify as verified

    # A certificate's days are days of the centre, whatever zone this machine is in.
    today = datetime.now(load_settings(os.environ, data=data).zone).date()
    if verify is not None:
        if public is None:
            raise _called_wrong(say("--verify 需要 --public", "--verify needs --public"))
        found = verified(_text(verify), _text(public).encode(), today=today, role=role)
        print_json(asdict(found)) if as_json else print(
            say("有效：", "Valid: ") + f"{found.member}, {', '.join(found.roles)}, ≤ {found.valid_to}"
        )
        return
    if run_file is not None and target is not None and by:
        _register(_document(run_file), load_target(target), by, out, load_settings(os.environ, data=data))
        return
    if run_file is None or target is None or key is None:
        raise _called_wrong(
            say(
                "签发需要 --run、--target 和 --key（或 --by）；验证需要 --verify 和 --public",
                "issuing needs --run, --target and --key (or --by); verifying needs --verify and --public",
            )
        )
    _issue(_document(run_file), load_target(target), key, out or Path("."), today)


def _called_wrong(detail: str) -> InvalidInput:
    return InvalidInput("HT-CLI-19", detail=detail, command="conformance certificate")


def compare(
    before: Annotated[Path, typer.Argument(help="run.json")],
    after: Annotated[Path, typer.Argument(help="run.json")],
    as_json: AsJson = False,
) -> None:
    found = compare_runs(_document(before), _document(after))
    if as_json:
        print_json(found)
    else:
        names = (("worse", "变差"), ("better", "变好"), ("other", "其他变化"))
        for kind, zh in names:
            for row in found[kind]:
                print(
                    f"{say(zh, kind)}  {row['id']}  {row['before']} → {row['after']}  {say(row['zh'], row['en'])}"
                )
        print(
            say(
                f"新增 {len(found['added'])}，消失 {len(found['removed'])}",
                f"{len(found['added'])} added, {len(found['removed'])} removed",
            )
        )
    if found["worse"]:
        raise typer.Exit(FINDINGS)


def _issue(document: Json, given: Json, key: Path, out: Path, today: date) -> None:
    from conformance.testing.certificate import issue, new_key, public_key, sign
    from gateway.members.routes import role_verdicts

    run_of = from_document(document)
    rows = role_verdicts(given, run_of.results, today)
    if not key.exists():
        key.write_bytes(new_key())
        key.chmod(0o600)
    private = key.read_bytes()
    made = issue(
        member=str(given["member"]), vendor=str(given.get("vendor", "")), product=str(given.get("product", "")),
        version=str(given.get("version", "")), verdicts={name: list(found) for name, found in rows.items()},
        interface_version="1.0", suite_hash=run_of.suite_hash, run=run_of.id, today=today,
        fingerprint=str(given.get("fingerprint", "")),
    )  # fmt: skip
    jws = sign(made, private)
    _pages(made, jws, out)
    (out / "centre.pem").write_bytes(public_key(private))
    print(say(f"已签发 {made.state}：", f"Issued ({made.state}): ") + str(out / "certificate.jws"))


def _pages(made: "Certificate", jws: str, out: Path) -> None:
    """Write the certificate as JWS, page and, with the extra `pdf`, PDF."""
    from conformance.reports.certificate_page import to_certificate_html
    from conformance.reports.certificate_pdf import to_certificate_pdf

    out.mkdir(parents=True, exist_ok=True)
    (out / "certificate.jws").write_text(jws, "utf-8")
    (out / "certificate.html").write_text(to_certificate_html(made, jws, language()), "utf-8")
    try:
        (out / "certificate.pdf").write_bytes(to_certificate_pdf(made, jws, language()))
    except ModuleNotFoundError:
        print(
            say(
                "未装 reportlab，略过 certificate.pdf。",
                "reportlab is not installed; certificate.pdf is left out.",
            )
        )


def _register(document: Json, given: Json, by: str, out: Path | None, settings: Settings) -> None:
    """Issue into the data folder's registry: the gate of the running gateway reads it within two seconds."""
    from gateway.members.registry import Registry
    from gateway.members.routes import role_verdicts

    registry = Registry(settings.data / "certificates", clock=settings.now)
    run_of = from_document(document)
    rows = role_verdicts(given, run_of.results, settings.now().date())
    made = registry.issue(given, rows, run=run_of.id, suite_hash=run_of.suite_hash, by=by)
    jws = (settings.data / "certificates" / f"{made.member}.jws").read_text("utf-8")
    if out is not None:
        _pages(made, jws, out)
    print(say(f"已签发 {made.state}：", f"Issued ({made.state}): ") + made.member)


def _scripts(paths: list[Path], target: Target, now: datetime) -> Run:
    from conformance.testing.play import Player
    from conformance.testing.script import load_script
    from gateway.rest.example import minimal

    if target.fhir is None:
        raise InvalidInput("HT-CT-29", port="fhir")
    files = [
        file
        for path in paths
        for file in (sorted((*path.rglob("*.json"), *path.rglob("*.xml"))) if path.is_dir() else [path])
    ]
    run_of = Run(
        now.strftime("%Y%m%d%H%M%S%f"), target.name, now.isoformat(timespec="seconds"), [], "", target.roles
    )
    for file in files:
        try:
            script = load_script(file, fake=minimal)
        except InvalidInput as error:
            if len(files) == 1:
                raise
            # A folder holds fixtures beside its scripts; of a script that cannot be read the report tells.
            if b"TestScript" in file.read_bytes()[:4096] and error.issues[0].code != "HT-CT-01":
                step = Step("load", file.name, "error", error.issues)
                run_of.results.append(Result(file.name, file.name, file.name, [step]))
                _tell(run_of.results[-1])
            continue
        try:
            played = Player(script, target.fhir, inputs=dict(target.variables)).play()
        except Exception as error:  # the edge: one odd script must not end a collection's run
            issue = Issue("HT-CT-59", {"name": file.name, "detail": f"{type(error).__name__}: {error}"[:200]})
            played = [Result(file.name, file.name, file.name, [Step("play", file.name, "error", (issue,))])]
        for result in played:
            run_of.results.append(result)
            _tell(result)
    return run_of


def _write(document: Json, out: Path) -> None:
    from conformance.reports.machine import to_junit, to_sarif, to_test_report
    from conformance.reports.page import to_html

    spoken = language()
    out.mkdir(parents=True, exist_ok=True)
    texts = {
        "run.json": json.dumps(document, ensure_ascii=False, indent=1),
        "report.html": to_html(document, spoken),
        "junit.xml": to_junit(document, spoken),
        "report.sarif": to_sarif(document, spoken),
        "TestReport.json": json.dumps(to_test_report(document, spoken), ensure_ascii=False, indent=1),
    }
    for name, text in texts.items():
        (out / name).write_text(text, "utf-8")
    try:
        from conformance.reports.matrix import to_xlsx

        register, run_of = load_register(), from_document(document)
        today = datetime.now().astimezone().date()
        rows = [
            row
            for role in document["roles"]
            for row in verdicts(register, run_of.results, role=role, today=today)
        ]
        (out / "matrix.xlsx").write_bytes(to_xlsx(register, {document["target"]: rows}))
    except ModuleNotFoundError:
        print(say("未装 openpyxl，略过 matrix.xlsx。", "openpyxl is not installed; matrix.xlsx is left out."))


def _tell(result: Result) -> None:
    colour = {"pass": "green", "attested": "green", "not-evaluated": "yellow"}.get(result.state, "red")
    print(f"{styled(result.state, colour)}  {result.id}  {say(result.zh, result.en)}")
    if result.state != "pass":
        for issue in result.issues[:3]:
            print(f"    {issue.code} {issue.text(language())}\n    {styled(issue.fix(language()), 'dim')}")


def _tests(suites: list[Path] | None) -> tuple[Any, ...]:
    return (*load_suites(), *load_tests(suites)) if suites else load_suites()


def masking_of(given: Json) -> Policy:
    """Return how a target file wants evidence shown; raises InvalidInput HT-CT-34 for an unknown policy."""
    found = given.get("masking", "standard")
    if found not in POLICIES:
        raise InvalidInput("HT-CT-34", name="masking", detail=" | ".join(POLICIES))
    return "strict" if found == "strict" else "standard"


def load_target(path: Path) -> Json:
    """Return a target file over its preset; raises InvalidInput HT-CT-34."""
    import yaml

    from conformance.testing.preset import presets, with_preset

    try:
        given = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput("HT-CT-34", name=path.name, detail=str(error)[:200]) from None
    if not isinstance(given, dict) or not given.get("member"):
        raise InvalidInput("HT-CT-34", name=path.name, detail="member")
    own = path.parent.parent / "presets"
    return with_preset(given, presets(own if own.is_dir() else None))


def _document(path: Path) -> Json:
    try:
        found = json.loads(_text(path))
        assert isinstance(found, dict)
        if found.get("format") != "hutong-run/1":
            raise ValueError("format")
    except (ValueError, AssertionError) as error:
        raise InvalidInput("HT-CT-34", name=path.name, detail=str(error)[:200]) from None
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("HT-CT-34", name=path.name, detail=str(error)[:200]) from None
