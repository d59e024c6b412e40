"""Names of forge's options and `foundry.toml` keys, recorded in forge_names.toml.

python -m tests.docs.forge_names FORGE > tests/docs/forge_names.toml     for another release: `FORGE` is its program
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

RECORD: Final = Path(__file__).with_name("forge_names.toml")
LATER: Final = Path(__file__).with_name("forge_later_names.toml")
COMMANDS: Final = ("test", "coverage", "snapshot")
_OPTION: Final = re.compile(r"^ {2,6}(?:(-\w), )?(--[a-z][a-z0-9-]*)", re.MULTILINE)
_ALIASES: Final = re.compile(r"^ +\[aliases: (.*)\]$", re.MULTILINE)
_OF_OTHERS: Final = ("fmt", "lint", "doc", "bind_json", "vyper", "labels")
"""Tables of forge's other commands, and those with user-defined keys."""


def recorded() -> dict[str, Any]:
    """Return the names of a release: options by command, dotted `keys`, and `version`."""
    return tomllib.loads(RECORD.read_text(encoding="utf-8"))


def later_names() -> dict[str, list[str]]:
    """Return options of `forge test` and keys that the next release adds, read from its sources."""
    return tomllib.loads(LATER.read_text(encoding="utf-8"))


def options_of(help_text: str) -> list[str]:
    """Return the long options of a command's `--help` with their aliases."""
    found = [option for _, option in _OPTION.findall(help_text)]
    for names in _ALIASES.findall(help_text):
        found += [name.strip() for name in names.split(",") if name.strip().startswith("--")]
    return sorted(set(found) - {"--help"})


def keys_of(config: Mapping[str, Any]) -> list[str]:
    """Return the keys of a profile, dotted for tables. `config` is the output of `forge config --json`."""
    found = set()
    for key, value in config.items():
        if key in _OF_OTHERS:
            found.add(f"[{key}]")
        elif key in ("fuzz", "invariant", "rpc_storage_caching") and isinstance(value, dict):
            found |= {f"{key}.{inner}" for inner in value}
        else:
            found.add(key)
    return sorted(found)


def names_of_program(forge: str) -> dict[str, Any]:
    """Return a program's output in the form of `recorded`."""
    found: dict[str, Any] = {"version": _output(forge, "--version").split()[2]}
    for command in COMMANDS:
        found[command] = options_of(_output(forge, command, "--help"))
    found["coverage"], found["snapshot"] = (sorted({*found[name]} - {*found["test"]}) for name in COMMANDS[1:])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "foundry.toml").touch()
        found["keys"] = keys_of(json.loads(_output(forge, "config", "--json", "--root", folder)))
    return found


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def _text(found: Mapping[str, Any]) -> str:
    lines = [f'version = "{found["version"]}"']
    for name in (*COMMANDS, "keys"):
        lines += [f"{name} = [", *(f'    "{each}",' for each in found[name]), "]"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(_text(names_of_program(sys.argv[1])))
