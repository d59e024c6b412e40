"""A page of the documentation as its reader follows it: its files are written and its commands are run, in the order in
which they stand, in one shell, in an empty folder.

- A fenced block whose first line is a comment with a file's name (`# test_x.py`, `// src/X.sol`) is that file.
- The lines of `console` and `bash` blocks are commands. After three blanks and `#`, a line says what it prints;
  `fails` means that it ends with another status than 0.
- A `hypervisor node` in the foreground is the one in another terminal: it runs until the page ends, and the next
  command waits for it.
- Pages say port 8545; here it is a free one.
- `REPLACED` has the commands that are not run here, each with what takes its place.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT = Path(__file__).parent.parent.parent
FAILS: Final = "fails"
BIN: Final = Path(sys.executable).parent
REPLACED: Final[dict[str, str]] = {
    "make demo": "hypervisor demo",  # .ci/run does it in a clone
    "make test": ":",  # would run these tests without end
    "python3 -m venv .venv": ":",  # the environment of the tests stands in for the new one
    ".venv/bin/pip install ~/hypervisor pytest": ":",
}

_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE: Final = re.compile(r"(?:#|//) ([\w./-]+\.\w+)\n")
_FOREGROUND: Final = re.compile(r"(\S*hypervisor) node(?!.*&$)(.*)")
_BEGINS, _ENDS = "\x1e", "\x1f"


class Ran(NamedTuple):
    """A command of a page, what the page says of it, its exit status, and what it printed."""

    command: str
    expected: str
    status: int
    output: str

    def check(self) -> None:
        """Fails where the page does not tell the truth."""
        shown = f"$ {self.command}\n{self.output}"
        failed = bool(self.status or re.search("^Error:", self.output, re.MULTILINE))  # npm's foundry ends with 0
        if self.expected.startswith(FAILS):
            assert failed, shown
        else:
            assert not failed, shown
            assert self.expected in self.output, shown


def files(page: str) -> dict[str, str]:
    """The files of a page, by their names."""
    found = ((_FILE.match(text), text) for _, text in _BLOCK.findall(page))
    return {match[1]: text for match, text in found if match}


def commands(page: str) -> list[tuple[str, str]]:
    """The commands of a page, each with what it is said to print."""
    return [(command, expected) for command, expected in _steps(page) if command is not None]


def run_page(page: str, folder: Path, environment: Mapping[str, str] | None = None) -> list[Ran]:
    """Follow a page in a new folder with a `.venv`. `~/hypervisor` is a clone; so is the folder of a page that uses
    its examples.
    """
    folder.mkdir()
    (folder / ".venv").symlink_to(BIN.parent)
    home = folder.with_name(f"{folder.name}-home")
    home.mkdir()
    (home / "hypervisor").symlink_to(ROOT)
    if any(" examples/" in command for command, _ in commands(page)):
        (folder / "examples").symlink_to(ROOT / "examples")
    port = _free_port()
    script = "\n".join([_PROLOGUE, *_script(page, port)])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=os.environ
        | {
            "HOME": str(home),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1",
            "COLUMNS": "120",
            "ETH_RPC_URL": f"http://127.0.0.1:{port}",
        }
        | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    outputs = re.findall(f"{_BEGINS}(.*?){_ENDS}([0-9]+)\n", done.stdout, re.DOTALL)
    assert len(outputs) == len(commands(page)), done.stdout
    return [
        Ran(command, expected, int(status), output)
        for (command, expected), (output, status) in zip(commands(page), outputs, strict=True)
    ]


_PROLOGUE: Final = """
trap 'for job in $(jobs -p); do kill "$job" 2>/dev/null; wait "$job" 2>/dev/null; done' EXIT
ready() {
    for _ in $(seq 1200); do
        [ ! -f "$1" ] || return 0
        sleep 0.1
    done
    echo "the node is not ready"; return 1
}
"""


def _steps(page: str) -> Iterator[tuple[str | None, str]]:
    """Commands with what they print, and (None, name) where a file is written."""
    for language, text in _BLOCK.findall(page):
        name = _FILE.match(text)
        if name:
            yield None, name[1]
        elif language in ("console", "bash"):
            for line in filter(None, text.replace("\\\n", " ").splitlines()):
                command, _, expected = line.partition("   # ")
                yield command.strip(), expected.strip()


def _script(page: str, port: int) -> Iterator[str]:
    written = files(page)
    for command, rest in _steps(page):
        if command is None:
            yield f"mkdir -p {shlex.quote(str(Path(rest).parent))}"
            yield f"printf %s {shlex.quote(written[rest])} > {shlex.quote(rest)}"
            continue
        yield f"printf '{_BEGINS}'"
        yield _here(REPLACED.get(command, command), port)
        yield f"printf '{_ENDS}%s\\n' $?"


def _here(command: str, port: int) -> str:
    """A command with this port, a node in the foreground in the background."""
    command = re.sub(r"127\.0\.0\.1:8545|localhost:8545", f"127.0.0.1:{port}", command)
    apart = _FOREGROUND.fullmatch(command)
    if apart:
        program, options = apart.groups()
        return f"{program} node --port {port} --ready-file ready.url{options} >node.log 2>&1 &\nready ready.url"
    return command.replace("hypervisor node", f"hypervisor node --port {port}")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
