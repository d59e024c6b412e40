"""Compiled test contracts without a compiler: functions as bytecode behind a dispatcher, with their ABI.

A body is a list of opcodes in hex, of `@name` for the place of a label (PUSH2) and of `name:` for the label itself. A
function begins with the stack that holds its selector; a body that ends with `00` succeeds. RETURNDATASIZE pushes the
zeros around bodies, so that the code also runs in forks without PUSH0.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eth_abi.abi import encode

from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from store.keccak import keccak

PASS = ["00"]
FAIL = ["5f5ffd"]
LOOP = ["again:", "600019", "600119", "80", "09", "50", "@again", "56"]
"""Like `tests.patience`: slow for its gas, compiled or not."""


def assembled(parts: Sequence[str]) -> bytes:
    """Return the code of a body."""
    labels: dict[str, int] = {}
    for _ in range(2):
        code = b""
        for part in parts:
            if part.endswith(":"):
                labels[part[:-1]] = len(code)
                code += b"\x5b"
            elif part.startswith("@"):
                code += b"\x61" + labels.get(part[1:], 0).to_bytes(2, "big")
            else:
                code += bytes.fromhex(part)
    return code


def runtime(functions: Mapping[str, Sequence[str]]) -> bytes:
    """Return code that dispatches to bodies by selector; anything else reverts."""
    parts = ["3d3560e01c"]
    for number, signature in enumerate(functions):
        parts += [f"8063{keccak(signature.encode())[:4].hex()}14", f"@f{number}", "57"]
    parts.append("3d3dfd")
    for number, body in enumerate(functions.values()):
        parts.append(f"f{number}:")
        parts += [f"{part[:-1]}_{number}:" if part.endswith(":") else _own(part, number) for part in body]
    return assembled(parts)


def _own(part: str, number: int) -> str:
    return f"{part}_{number}" if part.startswith("@") else part


def creation(code: bytes) -> bytes:
    """Return init code that returns this code."""
    head = bytes.fromhex("61") + len(code).to_bytes(2, "big") + bytes.fromhex("80600a3d393df3")
    return head + code


def entry(signature: str, mutability: str = "nonpayable") -> dict[str, Any]:
    """Return the ABI entry of a function."""
    name, _, types = signature.rstrip(")").partition("(")
    inputs = [{"name": f"a{index}", "type": kind} for index, kind in enumerate(types.split(",")) if kind]
    return {"type": "function", "name": name, "inputs": inputs, "outputs": [], "stateMutability": mutability}


def artifact(functions: Mapping[str, Sequence[str]], init_code: bytes | None = None) -> dict[str, Any]:
    """Return a contract in the form of forge's and this project's caches."""
    code = runtime(functions)
    return {
        "abi": [entry(signature) for signature in functions],
        "bytecode": {"object": (init_code or creation(code)).hex()},
        "deployedBytecode": {"object": code.hex()},
        "methodIdentifiers": {},
    }


def write(folder: Path, contracts: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write a file per contract by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contracts.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def forge_out(
    root: Path, file: str, text: str, contracts: Mapping[str, Mapping[str, Any]], version: str = "osaka"
) -> Path:
    """Write forge's output of a source for an EVM version to `out`: a file per contract, with the metadata."""
    build = root / "out" / "build-info"
    build.mkdir(parents=True)
    (build / "61a89ac0d564c2e4.json").write_text(json.dumps({"source_id_to_path": {"0": file}}), encoding="utf-8")
    hashed = {"keccak256": f"0x{keccak(text.encode()).hex()}"}
    made = {}
    for name, content in contracts.items():
        metadata = {
            "compiler": {"version": "0.8.30+commit.73712a01"},
            "settings": {
                "compilationTarget": {file: name},
                "optimizer": {"enabled": False, "runs": 200},
                "evmVersion": version,
            },
            "sources": {file: hashed},
        }
        made[name] = {**content, "metadata": metadata, "id": 0}
    return write(root / "out" / Path(file).name, made)


def call_of_cheatcode(signature: str, *arguments: Any) -> list[str]:
    """Return code that calls a cheatcode, and reverts with its revert data if it fails."""
    name, _, types = signature.rstrip(")").partition("(")
    data = selector(signature) + encode(types.split(",") if types else [], arguments)
    done = f"{name}{data.hex()[:8]}"
    call = f"5f5f61{len(data):04x}5f5f73{VM_ADDRESS.hex()}5af1"
    return [*in_memory(data), call, f"@{done}", "57", "3d5f5f3e3d5ffd", f"{done}:"]


def in_memory(data: bytes) -> list[str]:
    """Return code that writes data to memory at 0, word by word."""
    words = [data[at : at + 32].ljust(32, b"\0").hex() for at in range(0, len(data), 32)]
    return [f"7f{word}61{32 * place:04x}52" for place, word in enumerate(words)]


def counting_suite(counter: dict[str, Any], holds: str) -> dict[str, list[str]]:
    """Return an invariant test of a counter's count(), which is in memory at 0 when `holds` runs."""
    init_code = bytes.fromhex(counter["bytecode"]["object"])
    # setUp creates the counter of the init code in memory, word by word, and keeps its address in slot 0
    create = f"61{len(init_code):04x}5f5ff05f5500"
    asks = "63" + selector("count()").hex() + "60e01b5f52" + "60205f60045f5f545afa50"
    checks = [asks, holds, "@good", "57", "5f5ffd", "good:", "00"]
    return {"setUp()": [*in_memory(init_code), create], "invariantFew()": checks}
