"""Execution of a documentation page: its files are written and its commands run in one shell and an empty folder.

- A fenced block whose first line is a comment with a file name (`# test_x.py`, `// src/X.sol`) is that file.
- The lines of `console` and `bash` blocks are commands. After three blanks and `#`, a line states the expected output;
`fails` means an exit status other than 0.
- A `hypervisor node` in the foreground stands for one in another terminal: it runs until the next one, or until the end
of the page. The next command waits for it.
- Port 8545 is replaced by a free one.
- `REPLACED` lists commands that are not executed, with their replacements.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.web_server import reserved_port

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
    """An executed command with the documented output, its exit status, and its output."""

    command: str
    expected: str
    status: int
    output: str

    def check(self) -> None:
        """Fail if the output differs from the documented one."""
        shown = f"$ {self.command}\n{self.output}"
        failed = bool(self.status or re.search("^Error:", self.output, re.MULTILINE))  # npm's foundry ends with 0
        if self.expected.startswith(FAILS):
            assert failed, shown
        else:
            assert not failed, shown
            assert self.expected in self.output, shown


def between(page: str, begin: str, end: str, text: str) -> str:
    """Return a page with `text` between two markers."""
    before, rest = page.split(begin)
    return before + begin + text + end + rest.split(end)[1]


def files(page: str) -> dict[str, str]:
    found = ((_FILE.match(text), text) for _, text in _BLOCK.findall(page))
    return {match[1]: text for match, text in found if match}


def commands(page: str) -> list[tuple[str, str]]:
    """Return the commands of a page with their documented outputs."""
    return [(command, expected) for command, expected in _steps(page) if command is not None]


def run_page(page: str, folder: Path, environment: Mapping[str, str] | None = None) -> list[Ran]:
    """Execute a page in a new folder with a `.venv`. `~/hypervisor` is a clone; so is the folder of a page that uses
    its examples.
    """
    folder.mkdir()
    (folder / ".venv").symlink_to(BIN.parent)
    home = folder.with_name(f"{folder.name}-home")
    home.mkdir()
    (home / "hypervisor").symlink_to(ROOT)
    if any(" examples/" in command for command, _ in commands(page)):
        (folder / "examples").symlink_to(ROOT / "examples")
    with reserved_port() as port:
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
ended() {
    [ -z "$1" ] || { kill "$1"; wait "$1"; } 2>/dev/null
    rm -f ready.url
}
"""


def _steps(page: str) -> Iterator[tuple[str | None, str]]:
    """Yield commands with their outputs, and (None, name) for each file to write."""
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
        yield _with_port(REPLACED.get(command, command), port)
        yield f"printf '{_ENDS}%s\\n' $?"


def _with_port(command: str, port: int) -> str:
    """Return a command with this port, and a foreground node in the background."""
    command = re.sub(r"127\.0\.0\.1:8545|localhost:8545", f"127.0.0.1:{port}", command)
    apart = _FOREGROUND.fullmatch(command)
    if apart:
        program, options = apart.groups()
        run = f"{program} node --port {port} --ready-file ready.url{options} >node.log 2>&1"
        return f'ended "$node"\n{run} &\nnode=$!; ready ready.url'
    return command.replace("hypervisor node", f"hypervisor node --port {port}")
