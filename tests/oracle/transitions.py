"""Makes inputs of the transition tool for every fork, and records go-ethereum's output.

    python -m tests.oracle.transitions FILE EVM

FILE is written as gzip over JSON. EVM is go-ethereum's `evm` (see `tests.oracle.blocktests`).
"""

import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bridge.ethereum.transactions import ACCESS_LIST, BLOB, DYNAMIC_FEE, LEGACY, SET_CODE, key_address
from hypervisor.messages.signatures import public_key
from runtimes.evm.blocks.block_run import BUILDERS, CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS
from runtimes.evm.forks.forks import ALIASES, fork_names
from tests.oracle.blocktests import CHAINS, KILLER, WORK, WORKER
from tests.runtimes.evm.assembler import assemble

KEY: Final = "0x" + "45" * 32
POOR: Final = "0x" + "46" * 32
SENDER: Final = "0x" + key_address(public_key(bytes.fromhex(KEY[2:]))).hex()
KEEPER: Final = "0x" + key_address(public_key(b"\x47" * 32)).hex()
_HASH: Final = "0x01" + "00" * 31
_ZERO_HASH: Final = "0x" + "00" * 32


def alloc() -> dict[str, Any]:
    """Return the accounts before the block."""
    return {
        SENDER: {"balance": hex(10**20)},
        KEEPER: {"balance": hex(10**20), "code": "0x00"},
        f"0x{WORKER.hex()}": {"balance": "0x1", "nonce": "0x1", "code": "0x" + assemble(WORK).hex()},
        f"0x{KILLER.hex()}": {"balance": "0x5", "nonce": "0x1", "code": "0x" + assemble("0xdd SELFDESTRUCT").hex()},
        **{
            f"0x{at.hex()}": {"balance": "0x0", "nonce": "0x1", "code": "0x00"}
            for at in (WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS, *BUILDERS)
        },
    }


def environment(merged: bool, has_blobs: bool) -> dict[str, Any]:
    """Return a block's environment; go-ethereum fails for the fields of blobs before Cancun."""
    number, timestamp = 5, 15_000
    blobs = {"parentExcessBlobGas": "0x120000", "parentBlobGasUsed": "0x60000"} if has_blobs else {}
    work = {"currentRandom": "0x7"} if merged else {"parentDifficulty": "0x20000", "parentUncleHash": _ZERO_HASH}
    return {
        "currentCoinbase": "0x" + "c1" * 20,
        "currentGasLimit": "0x1000000",
        "currentNumber": hex(number),
        "currentTimestamp": hex(timestamp),
        "parentTimestamp": hex(timestamp - 12),
        "parentBaseFee": "0x7",
        "parentGasUsed": "0x900000",
        "parentGasLimit": "0x1000000",
        "parentBeaconBlockRoot": _ZERO_HASH,
        "blockHashes": {hex(number - 1): "0x" + "11" * 32},
        "withdrawals": [{"index": "0x0", "validatorIndex": "0x1", "address": "0x" + "a1" * 20, "amount": "0x9"}],
        "ommers": [{"delta": 1, "address": "0x" + "c2" * 20}],
        **work,
        **blobs,
    }


def transactions() -> list[dict[str, Any]]:
    """Return the block's transactions: good ones, and one for each reason to reject it."""
    good: dict[str, Any] = {
        "type": hex(LEGACY), "nonce": "0x0", "gas": "0x30d40", "gasPrice": "0x3b9aca00", "value": "0x0", "input": "0x",
        "to": f"0x{WORKER.hex()}", "secretKey": KEY, "protected": False, "v": "0x0", "r": "0x0", "s": "0x0",
    }  # fmt: skip
    fees = {"maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x2", "chainId": "0x1"}
    typed = {name: value for name, value in good.items() if name not in ("gasPrice", "protected")}
    typed["accessList"] = []
    dynamic = {**typed, **fees, "type": hex(DYNAMIC_FEE)}
    blobs = {**dynamic, "type": hex(BLOB), "maxFeePerBlobGas": "0x9", "blobVersionedHashes": [_HASH]}
    return [
        good,
        {**good, "nonce": "0x1", "to": f"0x{KILLER.hex()}"},
        {**good, "nonce": "0x2", "to": None, "input": "0x" + assemble("32 1 1 SUB RETURN").hex()},
        {**good, "nonce": "0x9"},
        good,
        {**good, "nonce": "0x3", "gas": "0x5207"},
        {**good, "nonce": "0x3", "gasPrice": "0x1"},
        {**good, "nonce": "0x3", "value": hex(10**21)},
        {**good, "nonce": "0x3", "gas": "0x2000000"},
        {**good, "nonce": "0x0", "secretKey": POOR},
        {**good, "nonce": "0x0", "secretKey": "0x" + "47" * 32},
        {**good, "nonce": "0x3", "gas": "0x5400", "input": "0x" + "01" * 20},
        {**typed, "type": hex(ACCESS_LIST), "gasPrice": "0x3b9aca00", "chainId": "0x1", "nonce": "0x3"},
        {**dynamic, "nonce": "0x4"},
        {**dynamic, "nonce": "0x5", "maxPriorityFeePerGas": "0x77359400"},
        {**blobs, "nonce": "0x5"},
        {**blobs, "nonce": "0x6", "maxFeePerBlobGas": "0x0"},
        {**blobs, "nonce": "0x6", "blobVersionedHashes": [_HASH] * 22},
        {**dynamic, "type": hex(SET_CODE), "authorizationList": [], "nonce": "0x6"},
    ]  # fmt: skip


def _is_since(fork: str, first: str) -> bool:
    """Return True if a fork is not before another; every transition at a time ends at Cancun or later."""
    names, name = fork_names(), ALIASES.get(fork, fork)
    return names.index(name) >= names.index(first) if name in names else "AtTime" in fork


def signable(fork: str) -> list[dict[str, Any]]:
    """Return the transactions whose type geth can sign in a fork: it signs before it looks at the fork."""
    first = {LEGACY: "Frontier", ACCESS_LIST: "Berlin", DYNAMIC_FEE: "London", BLOB: "Cancun", SET_CODE: "Prague"}
    return [
        each
        for each in transactions()
        if int(each["type"], 16) == LEGACY or _is_since(fork, first[int(each["type"], 16)])
    ]


def proposed(fork: str) -> dict[str, Any]:
    """Return a block of contracts with DUPN, SWAPN, EXCHANGE (EIP-8024) and SLOTNUM (EIP-7843)."""
    pushes = b"".join(b"\x61" + number.to_bytes(2, "big") for number in range(1000, 1250))
    stores, operands = bytes.fromhex("600055600155600255600355"), (0, 17, 90, 91, 127, 128, 255)
    codes = [
        *(pushes + bytes([opcode, operand]) + stores for opcode in (0xE6, 0xE7) for operand in operands),
        *(pushes + bytes([0xE8, operand]) + stores for operand in (0, 1, 81, 82, 127, 128, 142, 255)),
        *(pushes[: 3 * count] + bytes([0xE6, 128]) + stores for count in (16, 17)),
        *(pushes[: 3 * count] + bytes([0xE7, 128]) + stores for count in (17, 18)),
        pushes + b"\xe8",
        b"\x4b" + pushes[:9] + stores,
    ]
    base = {"nonce": "0x0", "gas": "0x100000", "value": "0x0", "v": "0x0", "r": "0x0", "s": "0x0", "secretKey": KEY}
    fees = {"type": hex(DYNAMIC_FEE), "chainId": "0x1", "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x2"}
    accounts = {f"0x{0xE0 << 152 | index:040x}": code for index, code in enumerate(codes)}
    return {
        "fork": fork,
        "reward": 0,
        "alloc": {
            SENDER: {"balance": hex(10**20)},
            **{at: {"balance": "0x0", "nonce": "0x1", "code": "0x" + code.hex()} for at, code in accounts.items()},
        },
        "env": {**environment(True, True), "currentGasLimit": "0x10000000", "slotNumber": "0x123456"},
        "txs": [
            {**base, **fees, "nonce": hex(index), "to": at, "input": "0x", "accessList": []}
            for index, at in enumerate(accounts)
        ],
    }


def cases() -> dict[str, dict[str, Any]]:
    others = {name: alias for alias, name in ALIASES.items()}
    found = {}
    for fork in [*(others.get(name, name) for name in fork_names()), *CHAINS]:
        env = environment(_is_since(fork, "Paris"), _is_since(fork, "Cancun"))
        found[fork] = {"fork": fork, "reward": 3 * 10**18, "alloc": alloc(), "env": env, "txs": signable(fork)}
    found["Cancun+8024+7843"] = proposed("Cancun+8024+7843")
    found["no reward"] = {**found["Homestead"], "reward": -1}
    return found


def main(file: str, evm: str) -> None:
    recorded = {}
    for name, case in cases().items():
        with tempfile.TemporaryDirectory() as folder:
            text = json.dumps({part: case[part] for part in ("alloc", "env", "txs")})
            done = subprocess.run(
                [evm, "t8n", *(f"--input.{part}=stdin" for part in ("alloc", "env", "txs")),
                 "--output.result=stdout", "--output.alloc=stdout", "--output.body=stdout",
                 f"--state.fork={case['fork']}", f"--state.reward={case['reward']}", f"--output.basedir={folder}"],
                input=text, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                sys.exit(f"{name}: {done.stderr}")
            recorded[name] = {**case, "expected": json.loads(done.stdout)}
    Path(file).write_bytes(gzip.compress(json.dumps(recorded, sort_keys=True).encode(), mtime=0))
    print(f"{len(recorded)} transitions")


if __name__ == "__main__":
    main(*sys.argv[1:])
