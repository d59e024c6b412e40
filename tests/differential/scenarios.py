"""Scenarios for comparisons, and realistic workloads.

- Deployments and calls of the corpus of Solidity contracts: one scenario for each kind of contract.
- Gas of typical transactions on the EVM runtime and the official EVM actor, as the table of docs/gas.md.

`python -m tests.differential.scenarios ARTIFACTS`, with the contracts compiled by scripts/corpus.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bridge.abi.abi import ContractInterface
from bridge.ethereum.addresses import EthAddress, create2_address, create_address
from runtimes.evm.blocks.alloc import AllocAccount
from store.keccak import keccak
from tests.differential.comparison import twins
from tests.differential.twins import CallOf, Case

ALICE, BOB, CAROL = (EthAddress(bytes([0xE0 + index]) * 20) for index in range(3))
FIL: Final = 10**18
NOBODY: Final = "0x" + "00" * 20


class Artifacts:
    """The compiled contracts of a folder."""

    def __init__(self, folder: Path) -> None:
        self._read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}

    def interface(self, name: str) -> ContractInterface:
        return ContractInterface(self._read[name]["abi"])

    def bytecode(self, name: str, libraries: Mapping[str, EthAddress]) -> bytes:
        code: str = self._read[name]["bytecode"]
        for library, start in self._read[name]["links"]:
            code = code[: start * 2] + libraries[library].hex() + code[start * 2 + 40 :]
        return bytes.fromhex(code)


@dataclass(slots=True)
class Script:
    """Collects the messages of one scenario. Addresses are known before anything runs: creations follow nonces."""

    artifacts: Artifacts
    calls: list[CallOf] = field(default_factory=list)
    fails: set[int] = field(default_factory=set)
    """Numbers of the messages that must fail; all others must succeed."""
    known: dict[str, EthAddress] = field(default_factory=dict)
    """Addresses of the contracts by name; the last one if a name repeats."""
    later: int = 0
    """Number of epochs between two messages."""

    def deploy(self, name: str, *arguments: Any, sender: EthAddress = ALICE, value: int = 0) -> str:
        code = self.artifacts.bytecode(name, self.known)
        init_code = self.artifacts.interface(name).encode_constructor(code, *arguments)
        nonce = sum(call.sender == sender for call in self.calls)
        self.calls.append(CallOf(sender, None, init_code, value, self.later))
        self.known[name] = create_address(sender, nonce)
        return text(self.known[name])

    def call(
        self,
        name: str,
        function: str,
        *arguments: Any,
        at: str = "",
        sender: EthAddress = ALICE,
        value: int = 0,
        fails: bool = False,
    ) -> None:
        """Call a function; `at` is an address other than that of the contract whose interface is used."""
        data = self.data(name, function, *arguments)
        self.raw(at or text(self.known[name]), data, sender=sender, value=value, fails=fails)

    def raw(self, at: str, data: bytes, sender: EthAddress = ALICE, value: int = 0, fails: bool = False) -> None:
        if fails:
            self.fails.add(len(self.calls))
        self.calls.append(CallOf(sender, EthAddress(bytes.fromhex(at[2:])), data, value, self.later))

    def data(self, name: str, function: str, *arguments: Any) -> bytes:
        return self.artifacts.interface(name).encode_call(function, *arguments)

    def case(self, name: str) -> Case:
        accounts = {address: AllocAccount(1_000_000 * FIL) for address in (ALICE, BOB, CAROL)}
        return Case(name, name, accounts, self.calls)


def text(address: bytes) -> str:
    """Return an address in the form that ABI encoders accept."""
    return "0x" + address.hex()


def erc20(script: Script) -> None:
    script.deploy("Coin")
    script.call("Coin", "transfer", text(BOB), 500)
    script.call("Coin", "transfer", text(BOB), 1)
    script.call("Coin", "transfer", text(ALICE), 2 * 10**26, fails=True)
    script.call("Coin", "transfer", NOBODY, 1, fails=True)
    script.call("Coin", "approve", text(CAROL), 300, sender=BOB)
    script.call("Coin", "transferFrom", text(BOB), text(CAROL), 200, sender=CAROL)
    script.call("Coin", "transferFrom", text(BOB), text(CAROL), 200, sender=CAROL, fails=True)
    script.call("Coin", "burn", 1, sender=CAROL)
    script.call("Coin", "burnFrom", text(BOB), 100, sender=CAROL)
    script.call("Coin", "balanceOf", text(BOB))
    script.call("Coin", "totalSupply", value=1, fails=True)


def erc721(script: Script) -> None:
    script.deploy("Pictures")
    keeper = script.deploy("Keeper")
    for number in range(3):
        script.call("Pictures", "mint", text(BOB), number)
    script.call("Pictures", "mint", text(BOB), 2, fails=True)
    script.call("Pictures", "mint", keeper, 7)
    script.call("Pictures", "mint", text(script.known["Pictures"]), 8, fails=True)
    script.call("Pictures", "approve", text(CAROL), 1, sender=BOB)
    script.call("Pictures", "transferFrom", text(BOB), text(CAROL), 1, sender=CAROL)
    script.call("Pictures", "transferFrom", text(BOB), text(CAROL), 2, sender=CAROL, fails=True)
    script.call(
        "Pictures", "safeTransferFrom(address,address,uint256,bytes)", text(BOB), keeper, 2, b"kept", sender=BOB
    )
    script.call("Pictures", "tokenOfOwnerByIndex", keeper, 1)
    script.call("Pictures", "tokenURI", 2)
    script.call("Pictures", "tokenURI", 20, fails=True)
    script.call("Keeper", "last")


def erc1155(script: Script) -> None:
    script.deploy("Items")
    keeper = script.deploy("Keeper")
    script.call("Items", "mint", text(BOB), [1, 2, 2**200], [10, 20, 30])
    script.call("Items", "mint", keeper, [1], [5])
    script.call("Items", "mint", text(script.known["Items"]), [1], [5], fails=True)
    script.call("Items", "mint", text(BOB), [1, 2], [10], fails=True)
    script.call("Items", "safeBatchTransferFrom", text(BOB), keeper, [1, 2], [3, 4], b"both", sender=BOB)
    script.call("Items", "setApprovalForAll", text(CAROL), True, sender=BOB)
    script.call("Items", "safeTransferFrom", text(BOB), text(CAROL), 2**200, 30, b"", sender=CAROL)
    script.call("Items", "balanceOfBatch", [text(BOB), keeper], [1, 1])
    script.call("Items", "totalSupply(uint256)", 1)
    script.call("Items", "uri", 5)


def proxies(script: Script) -> None:
    one, two = script.deploy("BoxOne"), script.deploy("BoxTwo")
    script.call("BoxOne", "initialize", 1)
    script.call("BoxOne", "initialize", 1, fails=True)
    plain = script.deploy("Plain", one)
    script.call("BoxOne", "store", 9, at=plain, value=3)
    script.call("BoxTwo", "increment", at=plain, fails=True)
    script.call("BoxOne", "upgradeToAndCall", two, b"", at=plain)
    script.call("BoxTwo", "increment", at=plain)
    script.call("BoxTwo", "version", at=plain)
    script.call("BoxOne", "upgradeToAndCall", plain[:-2] + "00", b"", at=plain, fails=True)
    transparent = script.deploy("Transparent", one, text(CAROL))
    script.call("BoxOne", "initialize", 3, at=transparent)
    script.call("BoxOne", "store", 4, at=transparent, sender=BOB)
    script.call("BoxOne", "value", at=transparent)
    script.deploy("Copies")
    for salt, again in ((b"\1" * 32, False), (b"\2" * 32, False), (b"\1" * 32, True)):
        script.call("Copies", "cloneOf", one, salt, fails=again)
    script.call("Copies", "beaconFor", one)
    script.call("Copies", "storeInAll", 100)
    script.call("Copies", "moveTo", two)
    script.call("Copies", "storeInAll", 200)


def governance(script: Script) -> None:
    script.deploy("Votes")
    timelock = script.deploy("Timelock", [text(ALICE)])
    council = script.deploy("Council", text(script.known["Votes"]), timelock)
    for role in ("PROPOSER_ROLE", "EXECUTOR_ROLE", "CANCELLER_ROLE"):
        script.call("Timelock", "grantRole", keccak(role.encode()), council)
    script.call("Votes", "delegate", text(ALICE))
    script.call("Votes", "transfer", timelock, 50)
    script.later = 2
    proposal = ([text(script.known["Votes"])], [0], [script.data("Votes", "transfer", text(BOB), 20)])
    number = int.from_bytes(keccak(script.data("Council", "hashProposal", *proposal, keccak(b"pay Bob"))[4:]), "big")
    script.call("Council", "propose", *proposal, "pay Bob")
    script.call("Council", "propose", *proposal, "pay Bob", fails=True)
    script.call("Council", "state", number)
    script.later = 4
    script.call("Council", "castVoteWithReason", number, 1, "why not")
    script.call("Council", "castVote", number, 1, fails=True)
    script.call("Council", "castVote", number, 0, sender=BOB)
    script.later = 20
    script.call("Council", "queue(address[],uint256[],bytes[],bytes32)", *proposal, keccak(b"pay Bob"))
    script.call("Council", "execute(address[],uint256[],bytes[],bytes32)", *proposal, keccak(b"pay Bob"), fails=True)
    script.later = 23
    script.call("Council", "execute(address[],uint256[],bytes[],bytes32)", *proposal, keccak(b"pay Bob"))
    script.call("Votes", "balanceOf", text(BOB))
    _timelock(script)


def _timelock(script: Script) -> None:
    steps = (text(script.known["Votes"]), 0, script.data("Votes", "transfer", text(CAROL), 7), b"\0" * 32, b"\1" * 32)
    script.call("Timelock", "schedule", *steps, 30, fails=True)
    script.call("Timelock", "schedule", *steps, 60)
    script.call("Timelock", "execute", *steps, fails=True)
    script.later += 3
    script.call("Timelock", "execute", *steps, sender=BOB, fails=True)
    script.call("Timelock", "execute", *steps)
    script.call("Votes", "getPastVotes", text(ALICE), 701)


def reentrancy(script: Script) -> None:
    for bank, robbed in (("OpenBank", True), ("GuardedBank", False), ("TransferBank", False)):
        at = script.deploy(bank)
        script.call(bank, "deposit", value=5 * FIL)
        script.deploy("Thief", sender=BOB)
        script.call("Thief", "rob", at, sender=BOB, value=FIL, fails=not robbed)
        script.call("Thief", "rounds")
        script.call(bank, "withdraw", fails=robbed)
    script.deploy("Lock")
    script.call("Lock", "enter", 4)
    script.call("Lock", "enterAndFail", 3)
    script.call("Lock", "seen")


def creation(script: Script) -> None:
    maker = script.deploy("Maker")
    script.raw(maker, b"", value=FIL)
    script.call("Maker", "make", 1, value=5)
    script.call("Maker", "make", 13, fails=True)
    for salt in (b"\1" * 32, b"\2" * 32, b"\1" * 32):
        script.call("Maker", "makeAt", 2, salt, value=1)
    script.call("Maker", "makeAt", 13, b"\3" * 32)
    script.call("Maker", "sizes")
    script.call("Maker", "endAll")
    script.call("Maker", "makeAt", 2, b"\1" * 32, value=2)
    script.call("Maker", "sizes")
    init_code = script.artifacts.bytecode("Child", {}) + (2).to_bytes(32, "big")
    child = text(create2_address(script.known["Maker"], b"\1" * 32, init_code))
    script.call("Child", "number", at=child)
    script.call("Child", "end", text(CAROL), at=child)
    script.call("Child", "number", at=child)


def libraries(script: Script) -> None:
    script.deploy("Sums")
    script.deploy("UsesLibrary")
    for number in (4, 5, 4):
        script.call("UsesLibrary", "add", number)
    script.raw(text(script.known["Sums"]), script.data("UsesLibrary", "add", 1), fails=True)


def depth(script: Script) -> None:
    first, second = script.deploy("Deep"), script.deploy("Deep", sender=BOB)
    script.call("Deep", "meet", first)
    script.call("Deep", "meet", second, at=first)
    for levels in (0, 1, 10, 40):
        script.call("Deep", "dive", levels, at=first)
        script.call("Deep", "look", levels, at=second)
    script.deploy("Loops")
    for count in (3, 30):
        data = script.data("Loops", "count", count)
        script.call("Deep", "borrow", text(script.known["Loops"]), data, at=first, value=count)


def loops(script: Script) -> None:
    script.deploy("Loops")
    for rounds in (0, 10, 2000):
        script.call("Loops", "count", rounds)
    script.call("Loops", "sort", 60, 5)
    script.call("Loops", "sort", 2**255, 5, fails=True)


def storage(script: Script) -> None:
    script.deploy("Shelves")
    identity = b"\7" * 32
    for title in ("short", "a title that takes more than the thirty-two bytes of one slot, and then some"):
        script.call("Shelves", "put", identity, 1999, title, [*range(14)])
        script.call("Shelves", "lend", identity)
    script.call("Shelves", "lend", identity, fails=True)
    script.call("Shelves", "books", identity)
    for size in (31, 2000, 0):
        script.call("Shelves", "grow", size)
    script.call("Shelves", "remove", identity)


def assembly(script: Script) -> None:
    at = script.deploy("Assembly")
    for a, b in ((0, 0), (2**255, 3), (2**256 - 1, 2**255 + 7), (12345, 2**128)):
        script.call("Assembly", "words", a, b)
    for data in (b"", b"abc", bytes(range(200))):
        script.call("Assembly", "bytesOf", data)
    for other in (at, text(BOB), "0x" + "77" * 20, "0x" + "00" * 19 + "02", "0xff" + "00" * 18 + "01"):
        script.call("Assembly", "around", other, value=3)
    script.raw(at, b"\1\2\3\4\5\6", value=2)
    script.raw(at, b"\1\2\3\4\5", fails=True)


def swapping(script: Script) -> None:
    one, two = script.deploy("Coin"), script.deploy("Coin")
    pool = script.deploy("Pool", one, two)
    for coin in (one, two):
        script.call("Coin", "approve", pool, 2**255, at=coin)
    script.call("Pool", "fill", 10**21, 3 * 10**21)
    for paid in (10**18, 5 * 10**18, 1):
        script.call("Pool", "swap", paid, 0)
    script.call("Pool", "swap", 10**18, 10**19, fails=True)


SCENARIOS: Final[Mapping[str, Callable[[Script], None]]] = MappingProxyType({
    "ERC-20": erc20, "ERC-721": erc721, "ERC-1155": erc1155, "proxies": proxies, "governor and timelock": governance,
    "reentrancy": reentrancy, "factories and create2": creation, "libraries": libraries, "deep calls": depth,
    "loops": loops, "storage": storage, "assembly": assembly, "swaps": swapping,
})  # fmt: skip
"""Scenarios by name, under which their gas is reported."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Gas of a workload's last message, including inclusion, calls and state."""

    name: str
    ours: int
    official: int

    @property
    def ratio(self) -> float:
        """Return the EVM runtime's gas divided by the official actor's."""
        return self.ours / self.official


def _deploy(script: Script) -> None:
    script.deploy("Coin")


def _first_transfer(script: Script) -> None:
    _deploy(script)
    script.call("Coin", "transfer", text(BOB), 500)


def _next_transfer(script: Script) -> None:
    _first_transfer(script)
    script.call("Coin", "transfer", text(BOB), 7)


def _transfer_from(script: Script) -> None:
    _first_transfer(script)
    script.call("Coin", "approve", text(BOB), 10**20)
    script.call("Coin", "transferFrom", text(ALICE), text(BOB), 9, sender=BOB)


def _swap(script: Script) -> None:
    one, two = script.deploy("Coin"), script.deploy("Coin")
    pool = script.deploy("Pool", one, two)
    for coin in (one, two):
        script.call("Coin", "approve", pool, 2**255, at=coin)
    script.call("Pool", "fill", 10**21, 3 * 10**21)
    script.call("Pool", "swap", 10**18, 0)


def _loop(script: Script) -> None:
    script.deploy("Loops")
    script.call("Loops", "count", 2000)


def _sort(script: Script) -> None:
    script.deploy("Loops")
    script.call("Loops", "sort", 60, 5)


def _mint(script: Script) -> None:
    script.deploy("Pictures")
    script.call("Pictures", "mint", text(BOB), 1)


def _create(script: Script) -> None:
    script.deploy("Maker")
    script.call("Maker", "make", 1)


WORKLOADS: Final[Mapping[str, Callable[[Script], None]]] = MappingProxyType({
    "deploy an ERC-20 (5 KB)": _deploy,
    "first ERC-20 transfer to an account": _first_transfer,
    "another one": _next_transfer,
    "ERC-20 transferFrom": _transfer_from,
    "swap in a pool of two ERC-20": _swap,
    "a loop of 2,000 rounds, checked arithmetic": _loop,
    "sort 60 hashes in memory": _sort,
    "mint an ERC-721, enumerable": _mint,
    "a contract creates a contract": _create,
})  # fmt: skip
"""Scripts by name; the last message of each is the measured one."""


def cost(artifacts: Artifacts, name: str) -> Cost:
    """Run a workload on both machines. Raise ValueError if they differ in anything but gas."""
    script = Script(artifacts)
    WORKLOADS[name](script)
    compared = twins().compare(script.case(name))
    if compared.difference or compared.official[-1].exit_code:
        raise ValueError(f"{name}: {compared.difference or compared.official[-1]}")
    return Cost(name, compared.ours[-1].gas, compared.official[-1].gas)


def table(artifacts: Artifacts) -> Iterator[str]:
    yield "| transaction | EVM runtime | official actor | ratio |"
    yield "|---|---:|---:|---:|"
    for name in WORKLOADS:
        found = cost(artifacts, name)
        yield f"| {name} | {found.ours:,} | {found.official:,} | {found.ratio:.3f} |"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in table(Artifacts(Path(sys.argv[1]))))
