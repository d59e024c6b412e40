"""The Foundry part of docs/tutorial.md, as its reader does it: the files, the commands, what they are said to print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import EXAMPLE, HERE, INSTALLED, PROJECT, installed, search_path
from tests.clients.nodes import node_process

pytestmark = pytest.mark.long

PAGE = (PROJECT / "docs" / "tutorial.md").read_text(encoding="utf-8")
PART = PAGE.partition("\n## A deployment with Foundry\n")[2].partition("\n## ")[0]
FILES = {
    name: text for text, name in re.findall(r"^```\w+\n((?:#|//) (\S+)\n.*?)^```$", PART, re.MULTILINE | re.DOTALL)
}
BEFORE, *COMMANDS = re.findall(r"^```console\n(.*?)^```$", PART, re.MULTILINE | re.DOTALL)
TOLD = re.findall(r"^```text\n(.*?)^```$", PART, re.MULTILINE | re.DOTALL)
FAILS = "fails"
NODE = ".venv/bin/hypervisor node"


class Reader:
    """A shell in the folder of the tutorial's project, with its exports."""

    def __init__(self, folder: Path, clients: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "CLIENTS": str(clients), "PATH": search_path(clients), "NO_COLOR": "1",
            "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1", "FOUNDRY_OFFLINE": "true",
            "FOUNDRY_SOLC": str(EXAMPLE / "solc.mjs"),
        }  # fmt: skip

    def types(self, command: str) -> tuple[bool, str]:
        """Whether a command succeeds, and what it prints."""
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )  # fmt: skip
        output = done.stdout + done.stderr
        return done.returncode == 0 and not re.search("^Error:", output, re.MULTILINE), output


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return Reader(tmp_path, installed(INSTALLED, HERE))


def commands(url: str) -> Iterator[tuple[str, str]]:
    """The page's commands after the node's start, each with what is said of it."""
    for block in COMMANDS:
        for line in filter(None, block.splitlines()):
            command, _, expected = line.replace("http://127.0.0.1:8545", url).partition("   # ")
            yield command.strip(), expected.strip()


def test_the_part_has_its_files_and_commands() -> None:
    assert set(FILES) == {"foundry.toml", "src/Till.sol", "script/Deploy.s.sol"}
    assert BEFORE.splitlines() == ["forge build", NODE]
    assert sum(bool(expected) for _, expected in commands("")) == 8
    assert len(TOLD) == 1


def test_every_command_does_what_the_page_says(reader: Reader) -> None:
    built, output = reader.types("forge build")
    assert built, output
    with node_process(reader.folder) as url:
        for command, expected in commands(url):
            if command.startswith("export "):
                name, _, value = command.removeprefix("export ").partition("=")
                reader.environment[name] = value
                continue
            succeeded, output = reader.types(command)
            assert succeeded == (expected != FAILS), output
            assert expected in output or not succeeded, output
    log = (reader.folder / "node.log").read_text(encoding="utf-8")
    for line in TOLD[0].splitlines():
        assert line in log
