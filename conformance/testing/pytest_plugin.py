"""pytest for YAML tests: `pytest -p conformance.testing.pytest_plugin --target member.yaml --role lis`.

One YAML test is one item, so `-k`, `--lf` and `--junitxml` work as they do for any test. What is not evaluated is
skipped in pytest's words, and never passes. An unknown role or test is a usage error.
"""

from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.testing.doorway import Counterpart
from conformance.testing.ports import open_target
from conformance.testing.result import Result
from conformance.testing.run import run_test
from conformance.testing.target import Target
from conformance.testing.yaml_test import SUITES, YamlTest, load_tests, select
from terminology.issues import FhirError


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hutong")
    group.addoption(
        "--target", default=None, help="target file (YAML); without it YAML tests are not collected"
    )
    group.addoption(
        "--counterpart",
        default="gateway.members.sandbox:Sandbox",
        help="module:name of the centre in a sandbox, for members that send or call",
    )
    group.addoption("--role", action="append", default=[], help="role whose tests are run; may be repeated")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "YamlFile | None":
    is_suite = file_path.suffix == ".yaml" and file_path.resolve().parent == SUITES
    if parent.config.getoption("--target") is None or not is_suite:
        return None
    file: YamlFile = YamlFile.from_parent(parent, path=file_path)
    return file


class YamlFile(pytest.File):
    """A file of conformance/suites."""

    def collect(self) -> Iterator["YamlItem"]:
        tests = load_tests([self.path])
        roles = [role for role in self.config.getoption("--role") if any(role in row.roles for row in tests)]
        if self.config.getoption("--role") and not roles:
            return
        for test in select(tests, roles=roles):
            item: YamlItem = YamlItem.from_parent(self, name=test.id)
            item.test = test
            yield item


class YamlItem(pytest.Item):
    """One test against the target of `--target`."""

    test: YamlTest

    def runtest(self) -> None:
        result = run_test(self.test, _target(self.config), now=datetime.now().astimezone())
        if result.state == "not-evaluated":
            pytest.skip(_said(result))
        if result.state not in ("pass", "attested"):
            raise Failed(_said(result))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.test.id} {self.test.zh} / {self.test.en}"


class Failed(Exception):
    """A test that did not pass; the text says what was expected and what came."""


def _said(result: Result) -> str:
    return (
        "\n".join(f"{one.code} {one.text('zh')}\n{one.text('en')}" for one in result.issues) or result.state
    )


_KEY = pytest.StashKey[Target]()


def _counterpart(config: pytest.Config) -> Counterpart:
    """Import the centre by its name: this package knows no gateway, who runs the tests does."""
    module, _, name = str(config.getoption("--counterpart")).partition(":")
    made: Counterpart = getattr(import_module(module), name)()
    return made


def pytest_unconfigure(config: pytest.Config) -> None:
    if _KEY in config.stash:
        config.stash[_KEY].close()


def _target(config: pytest.Config) -> Target:
    """Return the target, opened once a session."""
    if _KEY not in config.stash:
        path = Path(config.getoption("--target"))
        try:
            given = yaml.safe_load(path.read_text("utf-8"))
            config.stash[_KEY] = open_target(given, path.parent, counterpart=lambda: _counterpart(config))
        except (OSError, KeyError, TypeError, yaml.YAMLError, FhirError) as error:
            raise pytest.UsageError(f"{path.name}: {error}") from None
    return config.stash[_KEY]
