"""Tests of the quick start, and of the workflows to copy."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.command import run

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "examples" / "quickstart.sh"
CI = ROOT / "examples" / "ci"


@pytest.mark.long
def test_the_script_ends_with_a_call_tree_over_both_runtimes() -> None:
    done = subprocess.run(
        [SCRIPT], env=os.environ | {"PORT": "0"}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    tree = done.stdout[done.stdout.rindex("\nevm ") :].splitlines()[1:]
    assert re.fullmatch(r"evm  f0\d+ DataCapName keep\(\)  value 0  exit 0  gas [\d,]+", tree[0])
    assert re.fullmatch(r"├── wasm f07 datacap Name\(\)  value 0  exit 0  gas [\d,]+", tree[1])
    assert tree[2:] == ['│   └── -> "DataCap"', '└── event Kept(name="DataCap")']


@pytest.mark.slow
def test_dockerfile_uses_existing_node_options() -> None:
    lines = (CI / "Dockerfile").read_text(encoding="utf-8").splitlines()
    known = run("node", "--help", env={"COLUMNS": "200"}).output
    options = re.findall(r'"(--[a-z-]+)"', lines[-1])
    assert options
    assert all(f"{option} " in known for option in options)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pytest.yml", "forge.yml"])
def test_workflow_steps_are_valid_shell_with_known_commands(name: str) -> None:
    text = (CI / name).read_text(encoding="utf-8")
    steps = re.findall(
        r"^      - run: (.*)$|^        run: (?!\|)(.*)$|^        run: \|\n((?:          .*\n)+)", text, re.M
    )
    shell = ["".join(found) for found in steps]
    assert len(shell) >= 3
    for step in shell:
        assert subprocess.run(["sh", "-n", "-c", step], check=False).returncode == 0, step
    used = re.findall(r"^ *(?:- run: )?hypervisor (\w+)(.*)$", "\n".join(shell), re.M)
    assert {command for command, _ in used} == {"pytest.yml": {"doctor"}, "forge.yml": {"node", "doctor"}}[name]
    for command, rest in used:
        known = run(command, "--help", env={"COLUMNS": "200"}).output
        assert all(option in known for option in re.findall(r"--[a-z-]+", rest))
