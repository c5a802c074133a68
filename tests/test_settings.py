"""The settings tree: precedence, and refusals that name the field."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ringfence.errors import ConfigurationError
from ringfence.settings import load_settings
from ringfence.settings_sample import render_sample

ROOT = Path(__file__).parents[1]


def write(folder: Path, text: str) -> Path:
    file = folder / "ringfence.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults_are_loopback_and_documented_ports(tmp_path: Path) -> None:
    settings = load_settings(environment={})
    assert settings.enum.listen == ("127.0.0.1:1053",)
    assert (settings.api.host, settings.api.port) == ("127.0.0.1", 8420)
    assert settings.enum.apex == ("e164.internal",)
    assert settings.data == Path("ringfence-data").absolute()


def test_flags_override_environment_overrides_file(tmp_path: Path) -> None:
    file = write(tmp_path, '[api]\nport = 1\n[enum]\nworkers = 2\nlisten = ["127.0.0.1:1"]\n[log]\nlevel = "debug"\n')
    settings = load_settings(
        file,
        {"RINGFENCE_API_PORT": "2", "RINGFENCE_ENUM_LISTEN": "127.0.0.1:2, [::1]:2"},
        {"api.port": 3, "enum.workers": None},
    )
    assert settings.api.port == 3
    assert settings.enum.listen == ("127.0.0.1:2", "[::1]:2")
    assert settings.enum.workers == 2
    assert settings.log.level == "debug"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[api]\nprot = 1\n", ["api.prot", "no such setting", "ringfence.toml"]),
        ("[api]\nport = 70000\n", ["api.port", "65535", "70000"]),
        ('[enum]\nfail_mode = "maybe"\n', ["enum.fail_mode", "allow", "maybe"]),
        ('[mail]\nuser = "x"\n', ["mail", "user and password_file belong together"]),
        ('[mail]\ntls = "none"\nuser = "x"\npassword_file = "y"\n', ["mail", "not sent without TLS"]),
        ('[mail]\nsender = "a@example.com, b@example.com"\n', ["mail.sender", "one mail address"]),
        ('[api]\nhost = "nowhere"\n', ["api.host", "nowhere"]),
        ('[api.tls]\ncertificate = "x.pem"\n', ["api.tls", "certificate and key belong together"]),
        ('[trust]\nfingerprints = ["12:34"]\n', ["trust.fingerprints", "64 hexadecimal digits"]),
        ("api = 3\n", ["api"]),
        ("[api\n", ["not TOML"]),
    ],
)
def test_a_bad_file_is_refused_with_the_field_name(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(write(tmp_path, text), {})
    for word in words:
        assert word in caught.value.message
    assert "\n" not in caught.value.message


def test_an_unknown_environment_variable_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="RINGFENCE_DATABSE_URL"):
        load_settings(environment={"RINGFENCE_DATABSE_URL": "x"})


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing-here"):
        load_settings(tmp_path / "nothing-here.toml", {})


def test_the_committed_sample_is_the_tree_and_is_toml() -> None:
    committed = (ROOT / "ringfence.sample.toml").read_text(encoding="utf-8")
    assert committed == render_sample()
    uncommented = "\n".join(
        line[2:] if line.startswith("# ") and " = " in line.split("  #")[0] else line for line in committed.splitlines()
    )
    assert tomllib.loads(uncommented)["enum"]["workers"] == 1
