"""Tables of docs/foundry-flags.md: support for each of forge's options and each key of foundry.toml.

An option is supported if `hypervisor test --help` lists it, and a key if an invalid value is refused.
"""

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from fvm_hypervisor.cli.foundry.settings import ALIASES, UNSUPPORTED
from fvm_hypervisor.soltest.foundry_keys import NOT_READ
from fvm_hypervisor.soltest.project import load_project
from hypervisor.errors import InvalidInput
from tests.docs.cli_page import help_of
from tests.docs.forge_names import recorded

ELSEWHERE: Final = {
    "--asc": "no: the order is that of the contracts",
    "--check": "`--snapshot check`, with `--snap FILE`",
    "--desc": "no: the order is that of the contracts",
    "--diff": "`--snapshot diff`, with `--snap FILE`",
    "--diff-sort": "no: sorted by share, smallest first",
    "--exclude-tests": "contracts with tests are left out; `--no-match-coverage` leaves out their files, too",
    "--include-libs": "no: the project's own sources are counted",
    "--lcov-version": "no: the file is of version 1, which all releases of lcov read",
    "--max": "no: all tests are in the file",
    "--min": "no: all tests are in the file",
}
"""Options of `forge coverage` and `forge snapshot` with other names here, or none."""

_IN_PART: Final = {"rpc_storage_caching.chains": "in part: `none` or all chains; a list means all chains"}


def own_options() -> frozenset[str]:
    """Return the options of `hypervisor test`."""
    return frozenset(re.findall(r"--[a-z][a-z0-9-]*", help_of("test")))


def reads(key: str) -> bool:
    """Return True if an invalid value of the key is refused."""
    table, _, inner = key.rpartition(".")
    wrong = '"wrong"' if key == "optimizer_details" else "{ wrong = 1 }"
    with tempfile.TemporaryDirectory() as folder:
        place = f"profile.default.{table}" if table else "profile.default"
        text = f"[{place}]\n{inner} = {wrong}\n" if not key.startswith("[") else f"{key[1:-1]} = 1\n"
        (Path(folder) / "foundry.toml").write_text(text, encoding="utf-8")
        try:
            load_project(Path(folder))
        except InvalidInput:
            return True
    return False


def forge_test_options() -> str:
    """Return the table of the options of `forge test`."""
    return _table((option, _supported(option)) for option in recorded()["test"])


def report_options() -> str:
    """Return the table of the options of `forge coverage` and `forge snapshot`."""
    names = recorded()
    return _table((option, ELSEWHERE.get(option, "yes")) for option in [*names["coverage"], *names["snapshot"]])


def keys() -> str:
    """Return the table of the keys of foundry.toml."""
    return _table((key, _IN_PART.get(key, "yes") if reads(key) else NOT_READ[key]) for key in recorded()["keys"])


_OTHER_MEANING: Final = {
    "--fail-fast": "yes, after the first failing suite",
    "--network": "another meaning: Filecoin's network version; `--rules` selects Ethereum's or Filecoin's rules",
    "--skip": "yes, a glob for each `--skip`",
    "--watch": "yes, without paths: sources, `foundry.toml` and `remappings.txt` are watched",
}


def _supported(option: str) -> str:
    if option in _OTHER_MEANING:
        return _OTHER_MEANING[option]
    reasons: Mapping[str, str] = {**UNSUPPORTED, **{alias: UNSUPPORTED[name] for alias, name in ALIASES.items()}}
    return "yes" if option in own_options() else f"no: {reasons[option]}"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "| name | here |\n|---|---|\n" + "".join(f"| `{name}` | {words} |\n" for name, words in rows)
