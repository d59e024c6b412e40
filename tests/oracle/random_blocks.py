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
from hypervisor.installation import OWN_EVM
from hypervisor.messages.signatures import public_key, sign
from hypervisor_tools.laboratory.vectors.t8n import transition
from runtimes.evm.forks.forks import ALIASES, FORKS, Fork, fork_named
from tests.differential.grammar import THEMES, Grammar
from tests.runtimes.evm.assembler import NUMBERS, assemble

SYSTEM_CONTRACTS: Final = {
    "0x000f3df6d732807ef1319fb7b8bb8522d0beac02": (
        "3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414"
        "603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500"
    ),
    "0x0000f90827f1c53a10cb7a02335b175320002935": (
        "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257"
        "611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
    ),
    "0x00000961ef480eb55e80d19ad83579a64c007002": (
        "3373fffffffffffffffffffffffffffffffffffffffe1460cb5760115f54807fffffffffffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffffffff146101f457600182026001905f5b5f82111560685781019083028483029004916001019190604d565b909390"
        "049250505036603814608857366101f457346101f4575f5260205ff35b34106101f45760015460010160015560035480600302600401"
        "3381556001015f35815560010160203590553360601b5f5260385f601437604c5fa0600101600355005b600354600254808203806010"
        "1160df575060105b5f5b8181146101835782810160030260040181604c02815460601b81526014018160010154815260200190600201"
        "54807fffffffffffffffffffffffffffffffff00000000000000000000000000000000168252906010019060401c908160381c816007"
        "01538160301c81600601538160281c81600501538160201c81600401538160181c81600301538160101c81600201538160081c816001"
        "01535360010160e1565b910180921461019557906002556101a0565b90505f6002555f6003555b5f54807fffffffffffffffffffffff"
        "ffffffffffffffffffffffffffffffffffffffffff14156101cd57505f5b6001546002828201116101e25750505f6101e8565b016002"
        "90035b5f555f600155604c025ff35b5f5ffd"
    ),
    "0x0000bbddc7ce488642fb579f8b00f3a590007251": (
        "3373fffffffffffffffffffffffffffffffffffffffe1460d35760115f54807fffffffffffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffffffff1461019a57600182026001905f5b5f82111560685781019083028483029004916001019190604d565b909390"
        "0492505050366060146088573661019a573461019a575f5260205ff35b341061019a5760015460010160015560035480600402600401"
        "3381556001015f358155600101602035815560010160403590553360601b5f5260605f60143760745fa0600101600355005b60035460"
        "02548082038060021160e7575060025b5f5b8181146101295782810160040260040181607402815460601b8152601401816001015481"
        "52602001816002015481526020019060030154905260010160e9565b910180921461013b5790600255610146565b90505f6002555f60"
        "03555b5f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff141561017357505f5b600154600182"
        "8201116101885750505f61018e565b01600190035b5f555f6001556074025ff35b5f5ffd"
    ),
    "0x0000bff46984e3725691fa540a8c7589300d8282": (
        "3373fffffffffffffffffffffffffffffffffffffffe1461011c575f54807fffffffffffffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffffff146102705760015460088111605257506058565b60089003015b601190600182026001905f5b5f821115607f57"
        "810190830284830290049160010191906064565b90939004925050503660b814609f57366102705734610270575f5260205ff35b8034"
        "106102705760383567ffffffffffffffff1680633b9aca001161027057633b9aca000290340310610270576001546001016001556003"
        "54806006026004015f358155600101602035815560010160403581556001016060358155600101608035815560010160a035905560b8"
        "5f5f3760b85fa0600101600355005b60035460025480820380604011610131575060405b5f5b8181146101d757828101600602600401"
        "8160b8028154815260200181600101548152602001816002015480825260401c67ffffffffffffffff16816010018160381c81600701"
        "538160301c81600601538160281c81600501538160201c81600401538160181c81600301538160101c81600201538160081c81600101"
        "5353602001816003015481526020018160040154815260200190600501549052600101610133565b91018092146101e9579060025561"
        "01f4565b90505f6002555f6003555b36610242575f54600154817fffffffffffffffffffffffffffffffffffffffffffffffffffffff"
        "ffffffffff1461023057600882820111610238575b50505f610264565b0160089003610264565b7fffffffffffffffffffffffffffff"
        "ffffffffffffffffffffffffffffffffffff5b5f555f60015560b8025ff35b5f5ffd"
    ),
    "0x000064d678505ad48f8ccb093bc65613800e8282": (
        "3373fffffffffffffffffffffffffffffffffffffffe1460e1575f54807fffffffffffffffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffff146101c65760015460028111605157506057565b60029003015b601190600182026001905f5b5f821115607e5781"
        "0190830284830290049160010191906063565b909390049250505036603014609e57366101c657346101c6575f5260205ff35b341061"
        "01c657600154600101600155600354806003026004013381556001015f35815560010160203590553360601b5f5260305f6014376044"
        "5fa0600101600355005b6003546002548082038060101160f5575060105b5f5b81811461012d57828101600302600401816044028154"
        "60601b8152601401816001015481526020019060020154905260010160f7565b910180921461013f579060025561014a565b90505f60"
        "02555f6003555b36610198575f54600154817fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff146101"
        "865760028282011161018e575b50505f6101ba565b01600290036101ba565b7fffffffffffffffffffffffffffffffffffffffffffff"
        "ffffffffffffffffffff5b5f555f6001556044025ff35b5f5ffd"
    ),
}  # fmt: skip
"""Code in hex by address."""


def system_accounts() -> dict[str, Any]:
    return {at: {"balance": "0x0", "nonce": "0x1", "code": f"0x{code}"} for at, code in SYSTEM_CONTRACTS.items()}


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


def expected(evm: str, given: dict[str, Any], folder: str, *more: str) -> dict[str, Any]:
    text = json.dumps({part: given[part] for part in ("alloc", "env", "txs")})
    done = subprocess.run(
        [evm, "t8n", *(f"--input.{part}=stdin" for part in ("alloc", "env", "txs")),
         *(f"--output.{part}=stdout" for part in ("alloc", "result", "body")),
         f"--state.fork={given['fork']}", f"--output.basedir={folder}", *more],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{evm} ended with {done.returncode}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def adapted(made: dict[str, Any]) -> dict[str, Any]:
    """Return a block in the form that the specifications' tool reads, which refuses empty accounts."""
    names = ("balance", "nonce", "code")
    alloc = {at: each for at, each in made["alloc"].items() if any(int(each.get(name) or "0x0", 16) for name in names)}
    lists = [[{**each, "v": each["yParity"]} for each in given.get("authorizationList", ())] for given in made["txs"]]
    txs = [
        {**given, "to": given.get("to") or "", **({"authorizationList": found} if found else {})}
        for given, found in zip(made["txs"], lists, strict=True)
    ]
    return {**made, "alloc": alloc, "txs": txs}


def of_state(output: dict[str, Any]) -> dict[str, Any]:
    """Return what both tools compute alike if a transaction is rejected."""
    return {"result": {name: output["result"][name] for name in ("stateRoot", "logsHash", "logsBloom", "gasUsed")}}


def without_statuses(output: dict[str, Any]) -> None:
    """Remove the statuses of receipts, which have a state root instead before Byzantium (EIP-658).

    go-ethereum's tool prints one nevertheless: 0 for a creation that Frontier's rules let succeed without code.
    """
    for receipt in output["result"]["receipts"]:
        receipt.pop("status", None)


def without_access_list(output: dict[str, Any]) -> None:
    for name in ("blockAccessList", "blockAccessListHash"):
        output["result"].pop(name, None)


def main() -> int:
    """Compare blocks; return the number of those that differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evm")
    parser.add_argument(
        "--eels",
        action="store_true",
        help="EVM is that of the execution specifications, which number receipts otherwise: state, logs and gas count",
    )
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
            if given.eels:
                made = adapted(made)
                theirs = expected(given.evm, made, folder, "--state.chainid=1", "--state.reward=-1")
            else:
                theirs = expected(given.evm, made, folder)
            ours_name = given.ours or made["fork"]
            done = transition(made["alloc"], made["env"], made["txs"], ours_name, evm=given.engine)
            if given.eels and not done.result["receipts"]:
                continue  # before EIP-158 a reward of 0 creates the beneficiary, and the specifications' tool pays none
            if not fork_named(ours_name).access_lists:
                without_access_list(theirs)
            ours = {"alloc": done.alloc, "result": done.result, "body": done.body}
            if given.eels:
                ours, theirs = of_state(ours), of_state(theirs)
            elif fork_named(ours_name).spec < fork_named("Byzantium").spec:
                without_statuses(ours)
                without_statuses(theirs)
            blocks[made["fork"]] += 1
            accepted += len(done.result["receipts"])
            if ours != theirs:
                differ += 1
                parts = [part for part in theirs if ours[part] != theirs[part]]
                print(f"seed {seed}, {made['fork']}: {', '.join(parts)} differ")
    print(f"{given.count} blocks, {accepted} transactions, {differ} blocks differ; {dict(sorted(blocks.items()))}")
    return min(differ, 1)


if __name__ == "__main__":
    sys.exit(main())
