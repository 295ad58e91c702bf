"""The shape of the house: imports, locks, commands, files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from tallystick.cli.group import tallystick
from tallystick.settings import variables
from tests.support.requirements import ROOT

PACKAGES = (
    "ledger",
    "customers",
    "payments",
    "workers",
    "projections",
    "simulation",
    "api",
    "tallystick",
    "migrations",
)
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]


def test_imports_go_one_way() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def contract(contract_id: str) -> dict[str, list[str]]:
    return next(found for found in PROJECT["tool"]["importlinter"]["contracts"] if found["id"] == contract_id)


def test_a_new_rail_is_kept_from_knowing_the_others() -> None:
    rails = {path.parent.name for path in ROOT.glob("payments/*/__init__.py")} - {"domain"}
    assert set(contract("independent-rails")["modules"]) == {f"payments.{rail}" for rail in rails}


def test_a_new_domain_is_kept_pure() -> None:
    domains = {f"{path.parts[-3]}.domain" for path in ROOT.glob("*/domain/__init__.py")} | {"workers.generation"}
    assert set(contract("pure-domains")["source_modules"]) == domains


def test_the_wheel_has_every_package_and_each_is_typed() -> None:
    assert set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == set(PACKAGES)
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").exists(), package
        assert (ROOT / package / "__init__.py").exists(), package


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_has_a_hash_for_everything_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text and "@" not in text and "--index" not in text and "--find" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 0
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_the_locks_agree_with_each_other() -> None:
    pins = [
        dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE))
        for lock in LOCKS
        if lock.stem != "books"
    ]
    for name in set().union(*pins):
        assert len({found[name] for found in pins if name in found}) == 1, name


def test_the_books_checker_is_no_part_of_the_program() -> None:
    for lock in ("runtime", "dev"):
        assert "beancount" not in (ROOT / "requirements" / f"{lock}.lock").read_text()


@pytest.mark.parametrize("name", tallystick.list_commands(None))  # pyright: ignore[reportArgumentType]  # unused there
def test_every_command_explains_itself(name: str) -> None:
    done = CliRunner().invoke(tallystick, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert re.search(r"Usage: .*\n\n  \S", done.output), "the help begins with a sentence"


def test_scripts_are_executable_and_shell_files_parse() -> None:
    for script in [ROOT / ".ci" / "run", *(ROOT / "requirements").glob("*.sh")]:
        assert script.stat().st_mode & 0o111, script
        subprocess.run(["bash", "-n", script], check=True)


def test_no_module_is_too_long() -> None:
    long = {
        path.name: lines
        for path in tracked("*.py")
        if (lines := len(path.read_text().splitlines())) > 400 and "tests" not in path.parts
    }
    assert not long


def test_no_function_is_too_long() -> None:
    long: list[str] = []
    for path in tracked("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                lines = node.end_lineno - node.body[0].lineno + 1
                long += [f"{path.name}:{node.lineno} {node.name}"] if lines > 70 else []
    assert not long


def test_every_variable_that_the_tests_or_scripts_set_is_a_setting_or_known() -> None:
    known = {variable.name for variable in variables().values()} | {"TALLYSTICK_REQUIRE_ALL", "TALLYSTICK_CONFIG"}
    for path in [ROOT / "Makefile", ROOT / ".ci" / "run", ROOT / "README.md"]:
        assert set(re.findall(r"TALLYSTICK_[A-Z_]+", path.read_text())) <= known, path
