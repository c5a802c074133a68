"""The tree reads as ARCHITECTURE.md draws it: imports follow the flow, HTTP stays at the rim."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "ringfence"
FACES = {"cli", "api", "console"}
# `mediation.app` assembles the domain and its faces (docs/decisions/0001).
ASSEMBLERS = {"ringfence.mediation.app"}
HTTP_FRAMEWORKS = {"fastapi", "starlette", "uvicorn", "nicegui"}
# Serving is the rim: the commands that run a server, and the edge's own two read-only pages.
MAY_NAME_HTTP = {
    "ringfence.mediation.app",
    "ringfence.mediation.http_protocol",
    "ringfence.mediation.tls_server",
    "ringfence.cli.mediation",
}
IO_IN_RUST = re.compile(r"\bstd::(fs|net|io|process|thread|env)\b|SystemTime|Instant::now|\bnix::|socket2")


@cache
def modules() -> dict[str, ast.Module]:
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(file.read_text(encoding="utf-8"))
    return found


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def imports(tree: ast.Module, *, at_import_time: bool = False) -> set[str]:
    """Dotted names imported; with `at_import_time` only what importing the module itself runs."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if at_import_time and (is_type_checking(node) or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
            names.add(node.module)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return names


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_no_circular_import() -> None:
    trees = modules()
    graph = {
        name: {other for other in imports(tree, at_import_time=True) if other in trees and other != name}
        for name, tree in trees.items()
    }
    # A package's __init__ is imported by its own modules as a matter of course.
    graph = {name: {o for o in others if not name.startswith(f"{o}.")} for name, others in graph.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circular import: {' → '.join(error.args[1])}")


def test_domain_packages_do_not_know_their_faces() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, tree in modules().items()
        if room(name) not in FACES and name not in ASSEMBLERS and name != "ringfence.__main__"
        for other in imports(tree)
        if other.startswith("ringfence.") and room(other) in FACES
    ]
    assert not wrong


def test_faces_do_not_know_each_other() -> None:
    allowed = {("console", "api")}  # the console signs in through the API's session cookie
    wrong = [
        f"{name} imports {other}"
        for name, tree in modules().items()
        if room(name) in FACES
        for other in imports(tree)
        if other.startswith("ringfence.") and room(other) in FACES
        if room(other) != room(name) and (room(name), room(other)) not in allowed
    ]
    assert not wrong


def test_only_api_and_console_name_the_http_framework() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, tree in modules().items()
        if room(name) not in {"api", "console"} and name not in MAY_NAME_HTTP
        for other in imports(tree)
        if other.split(".")[0] in HTTP_FRAMEWORKS
    ]
    assert not wrong


def test_only_the_owner_writes_a_table() -> None:
    owners = {
        "account": {"accounts"},
        "credential": {"accounts"},
        "audit": {"accounts"},
        "recovery_code": {"accounts"},
        "account_address": {"accounts"},
        "oidc_request": {"accounts"},
        "policy_rule": {"policy"},
        "policy_version": {"policy"},
        "policy_installation": {"policy"},
        "policy_target": {"policy"},
        "policy_document": {"policy"},
        "policy_draft": {"policy"},
        "policy_draft_change": {"policy"},
        "dynamic_entry": {"policy"},
        "dynamic_change": {"policy"},
        "policy_list": {"policy"},
        "policy_list_revision": {"policy"},
        "policy_list_entry": {"policy"},
        "policy_list_feed": {"policy"},
        "policy_content": {"policy"},
        "policy_content_part": {"policy"},
        "policy_version_list": {"policy"},
        "device": {"mediation"},
        "device_stream": {"mediation"},
        "device_minute": {"mediation"},
        "enum_event": {"mediation", "database"},
        "sip_event": {"mediation", "database"},
        "call_minute": {"mediation"},
        "call_quarter": {"mediation"},
        "call_hour": {"mediation"},
        "call_second": {"mediation"},
        "call_up": {"mediation"},
        "part_quarter": {"mediation"},
        "part_hour": {"mediation"},
        "hour_total": {"mediation"},
        "hour_peak": {"mediation"},
        "hour_top": {"mediation"},
        "hour_part": {"mediation"},
        "rule_minute": {"mediation"},
        "rule_hour": {"mediation"},
        "site": {"mediation", "database"},
        "fst_plan": {"acceptance"},
        "fst_run": {"acceptance"},
        "audit_link": {"accounts"},
        "trust_key": {"mediation"},
        "device_invitation": {"mediation"},
        "device_certificate": {"mediation"},
        "evidence_request": {"mediation"},
        "report": {"reports"},
        "report_run": {"reports"},
        "detection_version": {"detection"},
        "detection_deployment": {"detection"},
        "detection_control": {"detection"},
        "detection_progress": {"detection"},
        "detection_episode": {"detection"},
        "detection_listing": {"detection"},
        "alert": {"detection"},
        "alert_event": {"detection"},
        "alert_comment": {"detection"},
        "alert_channel": {"detection"},
        "alert_message": {"detection"},
        "alert_delivery": {"detection"},
        "archive_part": {"storage"},
        "lost_day": {"storage"},
    }
    write = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM|COPY)\s+(?:ringfence\.)?(\w+)", re.IGNORECASE)
    wrong = [
        f"{name} writes {table}"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for table in write.findall(node.value)
        if table in owners and room(name) not in owners[table]
    ]
    assert not wrong


def test_only_bindings_names_pyo3() -> None:
    for manifest in (ROOT / "crates").glob("*/Cargo.toml"):
        if manifest.parent.name != "bindings":
            assert "pyo3" not in manifest.read_text(encoding="utf-8"), manifest


def rust_code(file: Path) -> str:
    """Source without comments and without what stands behind `#[cfg(test)]`."""
    text = file.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
    return "\n".join(line.split("//")[0] for line in text.splitlines())


@pytest.mark.parametrize("crate", ["numbers", "policy", "events", "voice-wire", "windows"])
def test_pure_crates_do_no_io(crate: str) -> None:
    for file in (ROOT / "crates" / crate / "src").rglob("*.rs"):
        if "test" in file.stem:
            continue
        found = [match for match in IO_IN_RUST.finditer(rust_code(file)) if match.group(1) not in {"net"}]
        assert not found, f"{file}: {found[0].group()}"


def test_no_crate_has_tests_that_do_not_run() -> None:
    """`make test-rust` runs what a manifest doesn't except, and no documentation tests."""
    for manifest in [*(ROOT / "crates").rglob("Cargo.toml"), *(ROOT / "bench").rglob("Cargo.toml")]:
        targets, sources = tomllib.loads(manifest.read_text(encoding="utf-8")), manifest.parent / "src"
        binaries = {manifest.parent / binary["path"]: binary for binary in targets.get("bin", [])}
        for file in sources.rglob("*.rs"):
            text = file.read_text(encoding="utf-8")
            if not binaries.get(file, targets.get("lib", {})).get("test", True):
                assert not re.search(r"#\[(cfg\()?test\b", text), f"{file} has tests, {manifest} excepts them"
            fences = re.findall(r"^\s*//[/!]\s*```(.*)$", text, re.MULTILINE)
            assert set(fences[::2]) <= {"text"}, f"{file}: `make test-rust` does not run what is not ```text"


def test_files_stay_small() -> None:
    """97 % of files under 400 lines (Python) or 500 (Rust); none over twice that."""
    limits = [(PACKAGE, "*.py", 400), (ROOT / "crates", "*.rs", 500)]
    for folder, pattern, limit in limits:
        sizes = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in folder.rglob(pattern)}
        large = {str(file.relative_to(ROOT)): size for file, size in sizes.items() if size > limit}
        assert not {file: size for file, size in large.items() if size > 2 * limit}
        assert len(large) <= 1 + len(sizes) * 0.05, large


def test_no_file_is_named_for_nothing() -> None:
    names = {"utils", "util", "helpers", "helper", "common", "misc"}
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "crates").rglob("*.rs")]
    assert not [file for file in files if file.stem in names or file.parent.name in names]
