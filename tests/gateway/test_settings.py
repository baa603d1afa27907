"""Settings: four layers, every problem at once, every setting documented."""

from dataclasses import fields
from pathlib import Path

import pytest

from gateway.settings import Settings, load_settings, settings_page
from terminology.issues import InvalidInput

ROOT = Path(__file__).parent.parent.parent


def codes(error: pytest.ExceptionInfo[InvalidInput]) -> list[str]:
    return [issue.code for issue in error.value.issues]


def test_the_later_layer_wins(tmp_path: Path) -> None:
    file = tmp_path / "hutong.toml"
    file.write_text('port = 1\nlog_level = "error"\n[mllp]\nport = 2\npending = 7\n')
    environment = {
        "HUTONG_CONFIG": str(file),
        "HUTONG_MLLP_PORT": "3",
        "HUTONG_PORT": "4",
        "HUTONG_LANG": "zh",
    }
    settings = load_settings(environment, port=5, host=None)
    assert (settings.port, settings.mllp_port, settings.mllp_pending, settings.log_level) == (
        5,
        3,
        7,
        "error",
    )


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as error:
        load_settings(
            {
                "HUTONG_PROT": "8",
                "HUTONG_PORT": "eighty",
                "HUTONG_LOG_LEVEL": "loud",
                "HUTONG_MLLP_PENDING": "0",
            }
        )
    assert codes(error) == ["HT-CLI-03", "HT-CLI-02", "HT-CLI-07", "HT-CLI-06"]
    assert "port" in error.value.issues[1].text("en")


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({"HUTONG_HOST": "0.0.0.0"}, "HT-CLI-08"),
        ({"HUTONG_HOST": "192.168.1.5"}, "HT-CLI-08"),
        ({"HUTONG_TLS_CERT": "/dev/null"}, "HT-CLI-09"),
        ({"HUTONG_MLLP_TLS_CERT": "/nowhere", "HUTONG_MLLP_TLS_KEY": "/dev/null"}, "HT-CLI-10"),
        ({"HUTONG_TIMEZONE": "Mars/Base"}, "HT-CLI-11"),
        ({"HUTONG_STORE": "oracle"}, "HT-CLI-06"),
        ({"HUTONG_INSECURE": "perhaps"}, "HT-CLI-03"),
        ({"HUTONG_CONFIG": "/nowhere.toml"}, "HT-CLI-04"),
    ],
)
def test_refused_with_a_fix(environment: dict[str, str], code: str) -> None:
    with pytest.raises(InvalidInput) as error:
        load_settings(environment)
    assert code in codes(error)
    for language in ("zh", "en"):
        assert all(issue.text(language) and issue.fix(language) for issue in error.value.issues)


def test_broken_toml_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("port = \n")
    with pytest.raises(InvalidInput) as error:
        load_settings({}, file=file)
    assert codes(error) == ["HT-CLI-05"]
    assert "line 1" in error.value.issues[0].text("en")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    assert load_settings({"HUTONG_HOST": host}).host == host


def test_insecure_allows_any_address() -> None:
    assert load_settings({"HUTONG_HOST": "0.0.0.0", "HUTONG_INSECURE": "1"}).host == "0.0.0.0"


@pytest.mark.parametrize("name", [spec.name for spec in fields(Settings)])
def test_every_setting_says_what_it_does(name: str) -> None:
    spec = next(spec for spec in fields(Settings) if spec.name == name)
    assert len(spec.metadata["zh"]) >= 5
    assert len(spec.metadata["en"]) >= 15


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == settings_page(), (
        "run scripts/build_settings_docs"
    )
