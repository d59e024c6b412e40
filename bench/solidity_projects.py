"""Foundry projects for bench_solidity, written to a new folder, so that nothing of an earlier run is cached."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

_SOURCES: Final = Path(__file__).with_name("solidity")
"""Folder of the sources, with `NUMBER` where those of several files differ."""
_CONTRACTS: Final = 10
_TRIVIAL_TESTS: Final = 100
_LEDGERS, _SHARES = 3, 12


def write_trivial(root: Path) -> None:
    """Write contracts with tests that write and read a slot."""
    for number in range(_CONTRACTS):
        tests = "".join(
            f"    function test_{index}() public {{ value += {index}; require(value == {index}); }}\n"
            for index in range(_TRIVIAL_TESTS)
        )
        text = f"pragma solidity ^0.8.20;\ncontract T{number} {{\n    uint256 value;\n{tests}}}\n"
        _write(root / f"test/T{number}.t.sol", text)
    _configure(root)


def write_ledgers(root: Path) -> None:
    """Write 33 tests of three small contracts."""
    _write_numbered(root, "Ledger", _LEDGERS)
    _configure(root)


def write_single(root: Path, name: str) -> None:
    """Write one file of tests: `Fuzzed` (a simple fuzz test), `Sequences` or `Handled` (an invariant test each).

    The latter's calls pass through a handler with `deal`, `startPrank`, `warp` and `expectRevert`.
    """
    _write(root / f"test/{name}.t.sol", (_SOURCES / f"{name}.t.sol").read_text(encoding="utf-8"))
    _configure(root)


def write_shares(root: Path, suites: Path) -> None:
    """Write 76 files: tokens of OpenZeppelin's contracts with tests of forge-std; `suites` are the public ones."""
    _write_numbered(root, "Share", _SHARES)
    for library, folder in (("forge-std", "src"), ("openzeppelin-contracts", "contracts")):
        shutil.copytree(suites / library / folder, root / "lib" / library / folder)
    _configure(
        root,
        'remappings = ["@openzeppelin/contracts/=lib/openzeppelin-contracts/contracts/"]\noptimizer = true\n',
    )


def edit(root: Path, count: int) -> None:
    """Edit one test of the shares project to use another number."""
    _write(root / "test/Share0.t.sol", _source("Share.t.sol", 0).replace("address(7)", f"address({100 + count})"))


def _write_numbered(root: Path, name: str, count: int) -> None:
    for number in range(count):
        _write(root / f"src/{name}{number}.sol", _source(f"{name}.sol", number))
        _write(root / f"test/{name}{number}.t.sol", _source(f"{name}.t.sol", number))


def _source(name: str, number: int) -> str:
    return (_SOURCES / name).read_text(encoding="utf-8").replace("NUMBER", str(number))


def _configure(root: Path, settings: str = "") -> None:
    (root / "foundry.toml").write_text(f"[profile.default]\n{settings}", encoding="utf-8")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
