"""Solidity's own semantic tests, compiled to both forms and compared.

`python -m riscv_tests.semantics FOLDER NPM` takes the folder `test/libsolidity/semanticTests` of ethereum/solidity, and
a folder with npm's packages `@parity/resolc` and `solc`. solc's code by the IR, which resolc compiles, is the model:
both forms get the calls of a test, and are compared as by `hypervisor-riscv compare`. A test counts if both compilers
accept it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from hypervisor_riscv.compare import Contract, Difference, PlannedCall, compare
from hypervisor_riscv.resolc import RESOLC
from localnet import TransactionRefused
from store.keccak import keccak

SOLC: Final = Path(__file__).parents[3] / "hypervisor_tools" / "soltest" / "compile" / "solc.mjs"
UNSUPPORTED: Final = re.compile(
    r"selfdestruct|codecopy|\.code\b|blobhash|blobbasefee|creationCode|runtimeCode|\bpc\(|layout at|library\b|==== |"
    r"pragma abicoder v1|experimental|gasleft|// EVMVersion: <|\berror\.f|bytecodeFormat|clz\(|// ==== Ext"
)
"""Opcodes that resolc refuses, and tests with several files, libraries or other settings."""
CALL: Final = re.compile(
    r"// (?P<signature>[\w$]*\([^)]*(?:\([^)]*\)[^)]*)*\))(?:, (?P<value>\d+) (?P<unit>wei|ether|gwei))?"
    r"(?:: (?P<arguments>.*?))?(?: ->.*)?$"
)
UNITS: Final = {"wei": 1, "gwei": 10**9, "ether": 10**18}
ITEM: Final = re.compile(
    r'(?:(left|right)\()?(-?\d+|0x[0-9a-fA-F]+|true|false|hex"[0-9a-fA-F]*"|"(?:[^"\\]|\\.)*")\)?(?:, *|$)'
)
BATCH: Final = 40


class Case(NamedTuple):
    """A test: its source, the constructor's arguments, and its calls."""

    name: str
    source: str
    arguments: bytes
    calls: Sequence[PlannedCall]


def encoded(text: str) -> bytes:
    """Return the encoding of a test's arguments. Raises ValueError."""
    data, at = b"", 0
    while at < len(text):
        found = ITEM.match(text, at)
        if found is None:
            raise ValueError(text)
        side, item = found.groups()
        at = found.end()
        if item.startswith("hex"):
            data += bytes.fromhex(item[4:-1])
        elif item.startswith('"'):
            data += item[1:-1].encode().decode("unicode_escape").encode("latin-1").ljust(32, b"\0")
        elif item in ("true", "false"):
            data += (item == "true").to_bytes(32, "big")
        elif side == "left":
            digits = item[2:] if item.startswith("0x") else f"{int(item):x}"
            data += bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2)).ljust(32, b"\0")
        else:
            data += (int(item, 0) % 2**256).to_bytes(32, "big")
    return data


def parsed(name: str, text: str) -> Case | None:
    """Return a test; None if it needs something that this runner or resolc lacks."""
    source, mark, rest = text.rpartition("// ----")
    if not mark or UNSUPPORTED.search(text):
        return None
    arguments, calls = b"", []
    for line in rest.splitlines():
        found = CALL.match(line.split(" #")[0].rstrip())
        if found is None:
            continue
        signature = found["signature"]
        try:
            data = encoded(found["arguments"] or "")
        except ValueError:
            return None
        value = int(found["value"] or 0) * UNITS[found["unit"] or "wei"]
        if signature.startswith("constructor"):
            arguments = data
        else:
            selector = b"" if signature.startswith("(") else keccak(signature.encode())[:4]
            calls.append(PlannedCall(signature, selector + data, value, 0))
    return Case(name, source, arguments, calls) if calls else None


def compiled(command: Sequence[str], cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    asked = {
        "language": "Solidity", "sources": {case.name: {"content": case.source} for case in cases},
        "settings": {
            "optimizer": {"enabled": True, "runs": 200}, "evmVersion": "cancun", "viaIR": True,
            "outputSelection": {case.name: {"*": ["abi", "evm.bytecode.object"]} for case in cases},
        },
    }  # fmt: skip
    done = subprocess.run(
        command, input=json.dumps(asked).encode(), capture_output=True, cwd=folder, env=os.environ, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(cases: Sequence[Case], npm: Path) -> Iterator[tuple[Case, str, list[Difference]]]:
    """Compile tests, and yield each with an outcome and the differences."""
    evm: dict[str, Any] = {"contracts": {}}
    for case in cases:
        soljson = str(npm / "node_modules" / "solc" / "soljson.js")
        evm["contracts"] |= compiled(["node", str(SOLC), soljson], [case], npm).get("contracts", {})
    accepted = [case for case in cases if evm["contracts"].get(case.name)]
    riscv = compiled([str(RESOLC.path)], accepted, npm)
    for case in cases:
        theirs, ours = (side["contracts"].get(case.name) or {} for side in (evm, riscv))
        codes = [found["evm"]["bytecode"]["object"] for found in ours.values()]
        name = re.findall(r"^\s*(?:abstract )?contract (\w+)", case.source, re.MULTILINE)[-1:]
        if not name or not theirs or "_" in theirs[name[0]]["evm"]["bytecode"]["object"]:
            yield case, "refused by solc", []
        elif not any(codes) or not ours[name[0]]["evm"]["bytecode"]["object"]:
            yield case, "refused by resolc", []
        else:
            init, blob = (bytes.fromhex(side[name[0]]["evm"]["bytecode"]["object"]) for side in (theirs, ours))
            contract = Contract([], init, blob, case.arguments, [bytes.fromhex(code) for code in codes if code])
            try:
                found = compare(contract, case.calls)
            except TransactionRefused:  # a message has at most 64 KiB
                yield case, "larger than a message", []
            else:
                yield case, "different" if found else "equal", found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("npm", type=Path)
    parser.add_argument("--part", default="0/1", help="part of the tests: NUMBER/COUNT")
    chosen = parser.parse_args()
    number, count = map(int, chosen.part.split("/"))
    paths = sorted(chosen.folder.rglob("*.sol"))[number::count]
    found = (parsed(str(path.relative_to(chosen.folder)), path.read_text()) for path in paths)
    cases = [case for case in found if case is not None]
    outcomes: Counter[str] = Counter()
    calls, start = 0, time.monotonic()
    for at in range(0, len(cases), BATCH):
        for case, outcome, differences in run(cases[at : at + BATCH], chosen.npm):
            outcomes[outcome] += 1
            calls += len(case.calls) * (outcome in ("equal", "different"))
            if differences:
                print(f"{case.name}: {differences[0]}", flush=True)
            elif outcome != "equal":
                print(f"{case.name}: {outcome}", flush=True)
        taken, done = time.monotonic() - start, min(at + BATCH, len(cases))
        print(f"{done} of {len(cases)} tests, {calls} calls, {taken:.0f} s: {dict(outcomes)}", flush=True)
    return int(bool(outcomes["different"]))


if __name__ == "__main__":
    sys.exit(main())
