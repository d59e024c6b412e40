"""Random blocks of every fork on our transition tool and go-ethereum's: accounts, roots, receipts, texts must be equal.

    python -m tests.oracle.random_blocks EVM [--count N] [--seed N] [--engine NAME]

EVM is go-ethereum's `evm`, built from tests/oracle/geth (`make geth`).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import ACCESS_LIST, BLOB, LEGACY, SET_CODE, Authorization, key_address
from fvm_hypervisor.laboratory.vectors.t8n import transition
from hypervisor.installation import OWN_EVM
from hypervisor.messages.signatures import public_key, sign
from runtimes.evm.ethereum.forks import ALIASES, FORKS, Fork, fork_named
from tests.differential.grammar import THEMES, Grammar
from tests.oracle.system_contracts import system_accounts
from tests.runtimes.evm.assembler import NUMBERS, assemble

KEY: Final = "0x" + "45" * 32
SENDER: Final = "0x" + key_address(public_key(bytes.fromhex(KEY[2:]))).hex()
CONTRACTS: Final = tuple(EthAddress(bytes([number]) * 20) for number in (0xA1, 0xA2, 0xA3))
COINBASE: Final = "0x" + "c1" * 20
_TRANSACTIONS: Final = 6
_GAS: Final = (60_000, 150_000, 400_000, 1_000_000)
_MORE_GAS: Final = (*_GAS, 22_000, 300_000, 3_000_000, (1 << 24) + 50_000, (1 << 24) + 400_000, 20_000_000)
"""Gas limits of forks with state gas: some fill the reservoir."""
SIGNERS: Final = tuple("0x" + f"{number:02x}" * 32 for number in (0x45, 0x51, 0x52))
"""Keys of authorizations: the sender's, that of an account without funds, that of an account which delegates."""
RICH: Final = EthAddress(key_address(public_key(bytes.fromhex(SIGNERS[2][2:]))))
_NAMES: Final = {name: alias for alias, name in ALIASES.items()}
_UNKNOWN: Final = 0.03
"""Share of the statements with opcodes that a fork does not have which are kept."""
_ZERO_HASH: Final = "0x" + "00" * 32


def block(seed: int, name: str = "") -> dict[str, Any]:
    """Return the input of a block: its fork (by default a random one), accounts, environment and transactions."""
    rng = Random(seed)
    fork = fork_named(name) if name else rng.choice([*FORKS.values()])
    return {
        "fork": _NAMES.get(fork.name, fork.name),
        "alloc": accounts(rng, fork),
        "env": environment(fork),
        "txs": [*transactions(rng, fork)],
    }


def _code(rng: Random, fork: Fork, statements: int) -> bytes:
    """Return a program of a fork's opcodes, with few others."""
    grammar = Grammar(rng, rng.choice([*THEMES]), CONTRACTS, ethereum=True)
    words: list[str] = []
    while statements:
        tokens = grammar.statement().split()
        unknown = any(NUMBERS[token] not in fork.opcodes for token in tokens if token in NUMBERS)
        if unknown and rng.random() > _UNKNOWN:
            continue
        statements -= 1
        words += tokens
    if 0x5F not in fork.opcodes:  # the assembler pushes a zero with PUSH0
        words = ["1 1 SUB" if word in ("0", "0x0") else word for word in words]
    return assemble(" ".join(words))


def accounts(rng: Random, fork: Fork) -> dict[str, Any]:
    """Return the accounts before a block."""
    delegates = {f"0x{RICH.hex()}": {"balance": "0x1", "code": f"0xef0100{CONTRACTS[1].hex()}"}}
    return {
        SENDER: {"balance": hex(10**24)},
        **(delegates if fork.delegations and rng.randrange(2) else {}),
        COINBASE: {"balance": rng.choice(("0x0", "0x1"))},
        **system_accounts(),
        **{
            f"0x{at.hex()}": {
                "balance": hex(rng.choice((0, 1, 10**18))),
                "nonce": "0x1",
                "code": "0x" + _code(rng, fork, rng.randint(1, 9)).hex(),
                "storage": {
                    f"0x{key:064x}": f"0x{rng.choice((1, 1 << 255)):064x}" for key in rng.sample((0, 1, 2, 31), 2)
                },
            }
            for at in CONTRACTS
        },
    }


def environment(fork: Fork) -> dict[str, Any]:
    """Return a block's environment."""
    values: dict[str, Any] = {
        "currentCoinbase": COINBASE,
        "currentGasLimit": "0x1c9c380" if fork.execution_gas_cap is None else "0x5f5e100",
        "currentNumber": "0x5",
        "currentTimestamp": "0x3e8",
        "currentDifficulty": None if fork.proof_of_stake else "0x20000",
        "currentRandom": "0x7" if fork.proof_of_stake else None,
        "currentBaseFee": "0xa" if fork.has_base_fee else None,
        "currentExcessBlobGas": "0x0" if fork.beacon_root else None,
        "parentBeaconBlockRoot": _ZERO_HASH if fork.beacon_root else None,
        "blockHashes": {hex(number): "0x" + f"{number:02x}" * 32 for number in range(5)},
        "withdrawals": [
            {"index": hex(index), "validatorIndex": "0x1", "address": address, "amount": hex(amount)}
            for index, (address, amount) in enumerate(((COINBASE, 0), ("0x" + "d1" * 20, 0), ("0x" + "d2" * 20, 9)))
        ]
        if fork.withdrawals
        else [],
        "slotNumber": "0x10" if fork.slot_number else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def transactions(rng: Random, fork: Fork) -> Iterator[dict[str, Any]]:
    """Yield a block's transactions."""
    for nonce in range(_TRANSACTIONS):
        creates = rng.randrange(5) == 0
        kind = rng.choice(
            [each for each in fork.transaction_types if each != BLOB and not (creates and each == SET_CODE)]
        )
        made: dict[str, Any] = {
            "type": hex(kind), "chainId": "0x1", "nonce": hex(nonce), "v": "0x0", "r": "0x0", "s": "0x0",
            "value": hex(rng.choice((0, 0, 1, 10**18))), "secretKey": KEY,
            "gas": hex(rng.choice(_GAS if fork.execution_gas_cap is None else _MORE_GAS)),
            "to": None if creates else _receiver(rng),
        }  # fmt: skip
        data = _code(rng, fork, rng.randint(1, 6)) if creates else rng.randbytes(rng.choice((0, 4, 36)))
        made["input"] = f"0x{data.hex()}"
        if kind == LEGACY and not fork.replay_protection:
            made["protected"] = False
        if kind in (LEGACY, ACCESS_LIST):
            made["gasPrice"] = "0xa"
        else:
            made |= {"maxFeePerGas": "0x64", "maxPriorityFeePerGas": "0x1"}
        if kind != LEGACY:
            listed = {"address": f"0x{rng.choice(CONTRACTS).hex()}", "storageKeys": [_ZERO_HASH]}
            made["accessList"] = [listed][: rng.randrange(2)]
        if kind == SET_CODE:
            made["authorizationList"] = [authorization(rng, nonce + 1) for _ in range(rng.randint(1, 3))]
        yield made


def _receiver(rng: Random) -> str:
    """Return a contract, mostly; else the sender, an account that may delegate, a precompile, or an empty account."""
    others = SENDER, f"0x{RICH.hex()}", "0x" + "00" * 19 + "04", f"0x{rng.getrandbits(160):040x}"
    return rng.choice(others) if rng.randrange(6) == 0 else f"0x{rng.choice(CONTRACTS).hex()}"


def authorization(rng: Random, sender_nonce: int) -> dict[str, Any]:
    """Return an authorization of one of few accounts, or one with an invalid signature.

    Its nonce is mostly 0, the account's first one. That of the sender follows `sender_nonce`.
    """
    given = {"chainId": "0x1", "address": f"0x{rng.choice((*CONTRACTS, EthAddress(bytes(20)))).hex()}", "nonce": "0x1"}
    key = rng.choice((*SIGNERS, ""))
    if not key:
        return {**given, "yParity": "0x0", "r": "0x1", "s": "0x1"}
    number = sender_nonce if key == KEY else rng.choice((0, 0, 1))
    unsigned = Authorization(1, EthAddress(bytes.fromhex(given["address"][2:])), number, 0, 0, 0)
    signed = sign(bytes.fromhex(key[2:]), unsigned.digest())
    r, s, parity = int.from_bytes(signed[:32], "big"), int.from_bytes(signed[32:64], "big"), signed[64]
    return {**given, "nonce": hex(number), "yParity": hex(parity), "r": hex(r), "s": hex(s)}


def expected(evm: str, given: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return go-ethereum's output for a block."""
    text = json.dumps({part: given[part] for part in ("alloc", "env", "txs")})
    done = subprocess.run(
        [evm, "t8n", *(f"--input.{part}=stdin" for part in ("alloc", "env", "txs")),
         *(f"--output.{part}=stdout" for part in ("alloc", "result", "body")),
         f"--state.fork={given['fork']}", f"--output.basedir={folder}"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"go-ethereum ended with {done.returncode}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def without_access_list(output: dict[str, Any]) -> None:
    """Remove the access list from go-ethereum's output."""
    for name in ("blockAccessList", "blockAccessListHash"):
        output["result"].pop(name, None)


def main() -> int:
    """Compare blocks; return the number of those that differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evm")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", default=OWN_EVM)
    parser.add_argument("--fork", default="", help="the fork of all blocks (default: random ones)")
    parser.add_argument("--ours", default="", help="the fork's name on our side, such as BPO2+7708 (default: the same)")
    given = parser.parse_args()
    differ, blocks, accepted = 0, Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(given.seed, given.seed + given.count):
            made = block(seed, given.fork)
            theirs = expected(given.evm, made, folder)
            ours_name = given.ours or made["fork"]
            done = transition(made["alloc"], made["env"], made["txs"], ours_name, evm=given.engine)
            if not fork_named(ours_name).access_lists:
                without_access_list(theirs)
            ours = {"alloc": done.alloc, "result": done.result, "body": done.body}
            blocks[made["fork"]] += 1
            accepted += len(theirs["result"]["receipts"])
            if ours != theirs:
                differ += 1
                parts = [part for part in theirs if ours[part] != theirs[part]]
                print(f"seed {seed}, {made['fork']}: {', '.join(parts)} differ")
    print(f"{given.count} blocks, {accepted} transactions, {differ} blocks differ; {dict(sorted(blocks.items()))}")
    return min(differ, 1)


if __name__ == "__main__":
    sys.exit(main())
