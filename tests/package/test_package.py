"""The Debian package, short: built from this tree with the libraries that commands need, unpacked, run where it lies.

The whole package on a booted machine: `make package-test` (test_booted.py).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from ringfence import __version__
from ringfence.service.units import UNITS, render_files

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "deploy" / "debian"
# What `ringfence` needs for a command that starts no server.
LIBRARIES = (
    *("annotated_doc", "annotated_types", "anyio", "certifi", "click", "h11", "httpcore", "httpx", "idna"),
    *("markdown_it", "mdurl", "pydantic", "pydantic_core", "pygments", "rich", "shellingham", "sniffio", "structlog"),
    *("typer", "typing_extensions.py", "typing_inspection"),
)
pytestmark = [
    pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed"),
    pytest.mark.skipif(not Path("/usr/bin/python3.11").exists(), reason="the package runs on Debian's Python 3.11"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    libraries = folder / "libraries"
    libraries.mkdir()
    site = Path(sysconfig.get_path("purelib"))
    for name in (name for name in LIBRARIES if (site / name).exists()):
        subprocess.run(["cp", "-a", site / name, libraries], check=True)
    shutil.copytree(
        ROOT / "python" / "ringfence", libraries / "ringfence", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    made = subprocess.run(
        [DEBIAN / "build.sh", "--libraries", libraries, "--output", folder, "--compression", "none"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return Path(made.stdout.strip())


@pytest.fixture(scope="module")
def unpacked(package: Path) -> Path:
    root = package.parent / "root"
    subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
    return root


def told(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_is_named_and_versioned_as_the_program(package: Path) -> None:
    assert package.name.startswith(f"ringfence_{__version__}_")
    assert told("dpkg-deb", "--field", package, "Package") == "ringfence\n"
    assert "python3 (>= 3.11~), python3 (<< 3.12)" in told("dpkg-deb", "--field", package, "Depends")
    assert int(told("dpkg-deb", "--field", package, "Installed-Size")) > 1000


def test_it_brings_every_unit_and_enables_none(unpacked: Path) -> None:
    units = {file.name: file.read_text("utf-8") for file in (unpacked / "usr/lib/systemd/system").iterdir()}
    assert units == {name: text for unit in UNITS for name, text in render_files(unit).items()}
    assert not (unpacked / "etc/systemd").exists()


def test_files_belong_to_root_and_only_root_writes_them(package: Path) -> None:
    for line in told("dpkg-deb", "--contents", package).splitlines():
        mode, owner = line.split()[:2]
        assert owner == "root/root", line
        assert mode.startswith("l") or (mode[5], mode[8]) == ("-", "-"), line


def test_the_configuration_is_a_conffile_and_names_the_data_folder(package: Path, unpacked: Path) -> None:
    assert told("dpkg-deb", "--info", package, "conffiles") == "/etc/ringfence/ringfence.toml\n"
    text = (unpacked / "etc/ringfence/ringfence.toml").read_text(encoding="utf-8")
    assert '\ndata = "/var/lib/ringfence/node"' in text


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm", "launcher"])
def test_scripts_are_plain_shell(script: str) -> None:
    assert subprocess.run(["sh", "-n", DEBIAN / script], check=False).returncode == 0


def test_the_installed_command_runs_and_leaves_no_file_behind(unpacked: Path) -> None:
    before = set(unpacked.rglob("*"))
    environment = {"PATH": "/usr/bin:/bin", "RINGFENCE_CONFIG": str(unpacked / "etc/ringfence/ringfence.toml")}

    def run(*arguments: str) -> str:
        command: list[str | Path] = [unpacked / "usr/bin/ringfence", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert json.loads(run("config", "show", "--json"))["data"] == "/var/lib/ringfence/node"
    assert "install" in run("service", "--help")
    assert run("logs", "--data", str(unpacked / "nowhere")) == ""
    assert set(unpacked.rglob("*")) == before
