"""Records go-ethereum's block-level access lists (EIP-7928): random blocks, and accesses at every amount of gas.

    python -m tests.oracle.access_lists FILE EVM

FILE is written as gzip over JSON. EVM is go-ethereum's `evm` (`make geth`).
"""

import gzip
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from runtimes.evm.forks.forks import AMSTERDAM
from tests.oracle.random_blocks import KEY, SENDER, block, environment, expected, system_accounts
from tests.runtimes.evm.assembler import assemble

RANDOM_BLOCKS: Final = 16
_FIRST_SEED: Final = 1000
_FINDINGS: Final = (702_013,)
"""Seeds of further blocks: a contract that writes a slot, and removes itself in the transaction that creates it."""
_OPERAND: Final = "0 CALLDATALOAD"
ACCESSES: Final = {
    "SLOAD": f"{_OPERAND} SLOAD",
    "SSTORE": f"1 {_OPERAND} SSTORE",
    "BALANCE": f"{_OPERAND} BALANCE",
    "EXTCODESIZE": f"{_OPERAND} EXTCODESIZE",
    "EXTCODEHASH": f"{_OPERAND} EXTCODEHASH",
    "EXTCODECOPY": f"32 0 0 {_OPERAND} EXTCODECOPY",
    "CALL": f"0 0 0 0 0 {_OPERAND} 0 CALL",
    "CALL with a value": f"0 0 0 0 1 {_OPERAND} 0 CALL",
    "CALL with too high a value": f"0 0 0 0 {1 << 100} {_OPERAND} 0 CALL",
    "CALLCODE": f"0 0 0 0 0 {_OPERAND} 0 CALLCODE",
    "DELEGATECALL": f"0 0 0 0 {_OPERAND} 0 DELEGATECALL",
    "STATICCALL": f"0 0 0 0 {_OPERAND} 0 STATICCALL",
    "CREATE2": f"{_OPERAND} 0 0 0 CREATE2",
    "CREATE2 with too high a value": f"{_OPERAND} 0 0 {1 << 100} CREATE2",
    "SELFDESTRUCT": f"{_OPERAND} SELFDESTRUCT",
}
"""Code by name: an access of the slot or address in the calldata."""
_DELEGATED: Final = ("CALL", "CALL with a value", "DELEGATECALL")
"""Accesses that are also made of accounts with a delegation, to an account that nothing else accesses."""
_GAS: Final = (
    0, 100, 2290, 2300, 2306, 2310, 2320, 2700, *range(2994, 3030, 2), 3100, 3110, 3120, 3130, 5100, 5200,
    *range(6000, 6130, 10), 9100, 12_000, 13_000, 14_200, 14_300, 14_320, 14_400, 17_300, 17_400, 20_000, 50_000,
    190_000, 210_000, 300_000,
)  # fmt: skip
"""Gas of an access: the amounts around Amsterdam's prices, and a few others."""
_CALLER: Final = "0x" + "ca" * 20
_CALLER_CODE: Final = "64 CALLDATALOAD 0 MSTORE 0 0 32 0 0 32 CALLDATALOAD 0 CALLDATALOAD CALL"
"""Calls the address in the second word with the gas in the first one, and the third word as calldata."""


def accesses() -> dict[str, Any]:
    """Return a block that makes each access with each amount of gas."""
    contract = {"balance": "0x64", "nonce": "0x1"}
    alloc: dict[str, Any] = {
        SENDER: {"balance": hex(10**24)},
        _CALLER: {**contract, "code": "0x" + assemble(_CALLER_CODE).hex()},
        **system_accounts(),
    }
    txs: list[dict[str, Any]] = []
    for place, (name, is_delegated) in enumerate(_cases()):
        target = f"0x{0xAC << 152 | place:040x}"
        alloc[target] = {**contract, "code": f"0x{assemble(ACCESSES[name]).hex()}"}
        for gas in _GAS:
            operand = 0xD0 << 152 | len(txs)
            if is_delegated:
                alloc[f"0x{operand:040x}"] = {"balance": "0x1", "code": f"0xef0100{0xDE << 152 | len(txs):040x}"}
            txs.append(_transaction(len(txs), f"0x{gas:064x}{target[2:]:0>64}{operand:064x}"))
    env = {**environment(AMSTERDAM), "currentGasLimit": hex(1 << 40)}
    return {"fork": AMSTERDAM.name, "alloc": alloc, "env": env, "txs": txs}


def _cases() -> Iterator[tuple[str, bool]]:
    yield from ((name, False) for name in ACCESSES)
    yield from ((name, True) for name in _DELEGATED)


def _transaction(nonce: int, data: str) -> dict[str, Any]:
    return {
        "type": "0x0", "chainId": "0x1", "nonce": hex(nonce), "gas": hex(1_000_000), "gasPrice": "0xa", "value": "0x0",
        "to": _CALLER, "input": data, "v": "0x0", "r": "0x0", "s": "0x0", "secretKey": KEY,
    }  # fmt: skip


def main(file: str, evm: str) -> None:
    """Record the access list of each block."""
    seeds = (*range(_FIRST_SEED, _FIRST_SEED + RANDOM_BLOCKS), *_FINDINGS)
    cases = {"accesses": accesses(), **{f"block {seed}": block(seed, AMSTERDAM.name) for seed in seeds}}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases.values():
            case["expected"] = expected(evm, case, folder)["result"]["blockAccessList"]
    Path(file).write_bytes(gzip.compress(json.dumps(cases, sort_keys=True).encode(), mtime=0))
    print(f"{len(cases)} access lists, {len(cases['accesses']['txs'])} accesses with different gas")


if __name__ == "__main__":
    main(*sys.argv[1:])
