"""Random programs of calls and cheatcodes, and what forge makes of them.

    python -m tests.hypervisor_tools.soltest.cheatcodes.random_calls FOLDER     record forge's results (needs Node.js)

A program is a list of operations of the contract `Machine` (contracts/Machine.sol): it looks at its frame and at
accounts, writes slots, emits logs, creates contracts, fails, and calls machines, other accounts and cheatcodes. Each
program is a test, and what all its frames have seen is the test's logs.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from eth_abi.abi import encode

from bridge.ethereum.addresses import EthAddress, create_address
from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from store.keccak import keccak
from tests.hypervisor_tools.soltest.golden import artifacts, configuration, store, stored
from tests.soltests.runners import SOLC, Chosen
from tests.soltests.stage import PublicSuite

FILE: Final = Path(__file__).with_name("random_calls.json.xz")
COUNT: Final = 100
"""Number of programs of each group."""
_SEED: Final = 1
TEST: Final = EthAddress(bytes.fromhex("7fa9385be102ac3eac297483dd6233d62b3e1496"))
"""Address of the test contract."""
MACHINES: Final = [create_address(TEST, nonce) for nonce in range(1, 4)]
OTHERS: Final = [EthAddress(bytes.fromhex(text.rjust(40, "0"))) for text in ("a11ce", "b0b", "4", "c0ffee" + 30 * "0")]
"""Accounts without code: two with funds, the identity precompile, an empty one."""
_SEE, _ACCOUNT, _LOAD, _STORE, _TRANSIENT, _LOG, _CALL, _CREATE, _REVERT, _FAIL = range(10)
_CALLED, _STATIC, _DELEGATED = range(3)
_DEPTH: Final = 3
_STRING: Final = selector("Error(string)")
_CUSTOM: Final = selector("TooMany(uint256)")

Draw = Callable[[Random], Any]


def _word(random: Random) -> bytes:
    return random.choice((0, 1, 2, 7, 1 << 255, (1 << 256) - 1)).to_bytes(32, "big")


def _small(random: Random) -> int:
    return random.choice((0, 1, 2, 3))


def _number(random: Random) -> int:
    return random.choice((0, 1, 2, 5, 1000, (1 << 32) - 1, (1 << 64) - 1))


def _address(random: Random) -> str:
    return "0x" + random.choice((*MACHINES, *MACHINES, TEST, *OTHERS)).hex()


def _account(random: Random) -> str:
    return "0x" + random.choice((*MACHINES, *OTHERS[:2])).hex()


def _flag(random: Random) -> bool:
    return random.random() < 0.5


def _data(random: Random) -> bytes:
    """Calldata, or the start of it, of a machine that looks at its frame."""
    return random.choice((run(bytes([_SEE])), run(b""), run(b"")[:4], b"", b"\x12", b"\x12\x34\x56\x78"))


def _output(random: Random) -> bytes:
    return random.choice((b"", bytes(32), encode(["bytes"], [b"mocked"]), b"\x01\x02\x03"))


def _reason(random: Random) -> bytes:
    """Revert data that programs produce, or its selector."""
    return random.choice((*_REASONS, _REASONS[0][:4], _CUSTOM))


_REASONS: Final = (
    _STRING + encode(["string"], ["no"]),
    _CUSTOM + encode(["uint256"], [1 << 255]),
    _CUSTOM + encode(["uint256"], [3 << 254]),
    selector("Panic(uint256)") + encode(["uint256"], [0x11]),
    b"",
    b"\x01\x02",
)

_DRAWS: Final[Mapping[str, Draw]] = {
    "address": _address, "bool": _flag, "uint256": _number, "uint64": _small, "bytes": _data, "bytes32": _word,
    "bytes4": lambda random: _reason(random)[:4].ljust(4, b"\0"),
    "bytes[]": lambda random: [_output(random), _output(random)],
}  # fmt: skip

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Prank": (
        "prank(address)", "prank(address,address)", "prank(address,bool)", "prank(address,address,bool)",
        "startPrank(address)", "startPrank(address,address)", "startPrank(address,bool)",
        "startPrank(address,address,bool)", "stopPrank()", "stopPrank()", "readCallers()",
    ),
    "ExpectRevert": (
        "expectRevert()", "expectRevert(bytes4)", "expectRevert(bytes)", "expectRevert(address)",
        "expectRevert(bytes4,address)", "expectRevert(bytes,address)", "expectRevert(uint64)",
        "expectRevert(bytes4,uint64)", "expectRevert(bytes,uint64)", "expectRevert(address,uint64)",
        "expectRevert(bytes4,address,uint64)", "expectRevert(bytes,address,uint64)", "expectPartialRevert(bytes4)",
        "expectPartialRevert(bytes4,address)", "assumeNoRevert()",
    ),
    "ExpectEmit": (
        "expectEmit()", "expectEmit(address)", "expectEmit(bool,bool,bool,bool)",
        "expectEmit(bool,bool,bool,bool,address)", "expectEmitAnonymous()", "expectEmitAnonymous(address)",
        "expectEmitAnonymous(bool,bool,bool,bool,bool)", "expectEmit(uint64)", "expectEmit(address,uint64)",
        "expectEmit(bool,bool,bool,bool,uint64)",
    ),
    "ExpectCall": (
        "expectCall(address,bytes)", "expectCall(address,bytes,uint64)", "expectCall(address,uint256,bytes)",
        "expectCall(address,uint256,bytes,uint64)", "expectCallMinGas(address,uint256,uint64,bytes)",
        "expectCall(address,uint256,uint64,bytes)",
    ),
    "MockCall": (
        "mockCall(address,bytes,bytes)", "mockCall(address,uint256,bytes,bytes)", "mockCallRevert(address,bytes,bytes)",
        "mockCallRevert(address,uint256,bytes,bytes)", "mockCalls(address,bytes,bytes[])",
        "mockCalls(address,uint256,bytes,bytes[])", "mockFunction(address,address,bytes)", "clearMockedCalls()",
    ),
    "Block": (
        "warp(uint256)", "roll(uint256)", "fee(uint256)", "chainId(uint256)", "coinbase(address)",
        "prevrandao(bytes32)", "prevrandao(uint256)", "txGasPrice(uint256)",
        "getBlockTimestamp()", "getBlockNumber()", "getChainId()", "setBlockhash(uint256,bytes32)",
    ),
    "Accounts": (
        "deal(address,uint256)", "etch(address,bytes)", "store(address,bytes32,bytes32)", "load(address,bytes32)",
        "getNonce(address)", "setNonce(address,uint64)", "setNonceUnsafe(address,uint64)", "resetNonce(address)",
    ),
    "Logs": ("recordLogs()", "recordLogs()", "getRecordedLogs()", "getRecordedLogsJson()"),
    "Accesses": (
        "record()", "record()", "stopRecord()", "accesses(address)", "accesses(address)",
        "startMappingRecording()", "stopMappingRecording()", "getMappingLength(address,bytes32)",
    ),
    "Diffs": (
        "startStateDiffRecording()", "startStateDiffRecording()", "stopAndReturnStateDiff()", "getStateDiffJson()",
    ),
    "Snapshots": (
        "snapshotState()", "snapshotState()", "revertToState(uint256)", "revertToStateAndDelete(uint256)",
        "deleteStateSnapshot(uint256)", "deleteStateSnapshots()",
    ),
    "Gas": (
        "pauseGasMetering()", "resumeGasMetering()", "resetGasMetering()", "lastCallGas()",
        "cool(address)", "warmSlot(address,bytes32)", "coolSlot(address,bytes32)",
    ),
}  # fmt: skip
"""Cheatcodes by group; those of a group are as frequent as they are listed."""


def run(program: bytes) -> bytes:
    """Return the calldata with which a machine executes a program."""
    return selector("run(bytes)") + encode(["bytes"], [program])


def cheatcode(random: Random, signature: str) -> bytes:
    """Return calldata of a cheatcode with random values."""
    name, _, rest = signature.partition("(")
    types = [kind for kind in rest[:-1].split(",") if kind]
    values = [_DRAWS[kind](random) for kind in types]
    if name == "etch":
        values[1] = random.choice((b"", b"\0", bytes.fromhex("60015f5260205ff3"), bytes.fromhex("5f5ffd")))
        values[0] = "0x" + random.choice(OTHERS).hex()
    elif name == "expectRevert" and types[:1] == ["bytes"]:
        values[0] = _reason(random)
    elif name.startswith("mockCall"):
        values[-1] = values[-1] if types[-1] == "bytes[]" else random.choice((_output(random), _reason(random)))
    elif name in ("store", "load", "warmSlot", "coolSlot"):
        values[1] = _small(random).to_bytes(32, "big")
    elif name == "deal":
        values[1] = random.choice((0, 1, 10**18))
    elif name.startswith("setNonce"):
        values[1] = random.choice((0, 1, 2, 100))
    elif name in ("prank", "startPrank"):
        values[0] = random.choice((values[0], _account(random)))
    elif name == "chainId":
        values[0] = random.choice((1, 2, 31337, (1 << 64) - 1, 1 << 64))
    return selector(signature) + encode(types, values)


def program(random: Random, group: Sequence[str], depth: int = 0) -> bytes:
    """Return a random program that calls the cheatcodes of a group."""
    count = random.choice((1, 2, 3, 4) if depth else (4, 6, 8, 10))
    return b"".join(_operation(random, group, depth) for _ in range(count))


def _operation(random: Random, group: Sequence[str], depth: int) -> bytes:
    kind = random.random()
    if kind < 0.3 and (not depth or group not in (GROUPS["Snapshots"], GROUPS["Diffs"])):
        return _call(_CALLED, random.random() < 0.1, VM_ADDRESS, 0, cheatcode(random, random.choice(group)))
    if kind < 0.65 and depth < _DEPTH:
        how = random.choice((_CALLED, _CALLED, _CALLED, _STATIC, _DELEGATED))
        to = random.choice((*MACHINES, *MACHINES, TEST))
        value = random.choice((0, 0, 0, 1)) if how == _CALLED else 0
        return _call(how, random.random() < 0.2, to, value, run(program(random, group, depth + 1)))
    if kind < 0.7:
        how = random.choice((_CALLED, _STATIC))
        return _call(how, False, random.choice(OTHERS), random.choice((0, 1)) if how == _CALLED else 0, _data(random))
    if kind < 0.75 and depth < _DEPTH:
        inner = program(random, group, depth + 1)
        return bytes([_CREATE, random.choice((0, 1)), random.choice((0, 0, 1))]) + len(inner).to_bytes(2, "big") + inner
    if kind < 0.83:
        return bytes([_SEE])
    if kind < 0.86:
        return bytes([_ACCOUNT]) + bytes.fromhex(_address(random)[2:])
    if kind < 0.89:
        return bytes([_LOAD, _small(random)])
    if kind < 0.92:
        return bytes([random.choice((_STORE, _STORE, _TRANSIENT)), _small(random), _small(random)])
    if kind < 0.97 or not depth:
        return bytes([_LOG, random.choice((0, 1, 1, 2, 4)), _small(random)])
    data = random.choice(_REASONS)
    return random.choice((bytes([_FAIL]), bytes([_REVERT]) + len(data).to_bytes(2, "big") + data))


def _call(how: int, fails: bool, to: EthAddress, value: int, data: bytes) -> bytes:
    """Return a call; with `fails`, its failure is that of the caller."""
    return bytes([_CALL, how, fails]) + to + bytes([value]) + len(data).to_bytes(2, "big") + data


def programs(group: str, seed: int = _SEED) -> list[bytes]:
    """Return the programs of a group."""
    return [program(Random(f"{seed} {group} {number}"), GROUPS[group]) for number in range(COUNT)]


def write_programs(folder: Path) -> None:
    """Write a file for each group, which its tests read: the end of each program in four bytes, and the programs."""
    folder.mkdir()
    for group in GROUPS:
        found, end = programs(group), 4 * COUNT
        ends = [end := end + len(each) for each in found]
        data = b"".join((*(end.to_bytes(4, "big") for end in ends), *found))
        (folder / group).write_bytes(data)


_SUITE: Final = 'contract {name}Test is Programs {{ constructor() Programs("{name}") {{}} }}'


def _source() -> str:
    """Return the tests in Solidity."""
    tests = "\n".join(f"    function test{number}() external {{ execute({number}); }}" for number in range(COUNT))
    suites = "\n".join(_SUITE.format(name=name) for name in GROUPS)
    return f"""// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;
import {{Tested}} from "./Machine.sol";
abstract contract Programs is Tested {{
    constructor(string memory name) Tested(name, {COUNT}) {{}}
{tests}
}}
{suites}
"""


End = tuple[str, str, str, int]
"""Status, reason, a digest of the logs, and gas."""


def end_of(status: str, reason: str | None, logs: Iterable[str], gas: int) -> End:
    """Return the end of a test. Which of several missing calls forge names differs from run to run."""
    reason = (reason or "").partition(" to 0x")[0] if (reason or "").startswith("expected call to") else reason or ""
    return status, reason, keccak("\n".join(logs).encode()).hex()[:16], gas


def stored_ends() -> dict[str, list[End]]:
    """Return forge's results by group."""
    return {group: [(*end,) for end in ends] for group, ends in stored(FILE)["forge"].items()}


def record(folder: Path) -> None:
    """Write the project, run forge, and store its results and the artifacts."""
    (folder / "test").mkdir(parents=True)
    (folder / "src").mkdir()
    shutil.copy(Path(__file__).with_name("contracts") / "Machine.sol", folder / "test")
    (folder / "test" / "RandomCalls.t.sol").write_text(_source(), encoding="utf-8")
    (folder / "foundry.toml").write_text(
        configuration('fs_permissions = [{ access = "read", path = "programs" }]\n'), encoding="utf-8"
    )
    write_programs(folder / "programs")
    environment = Chosen(folder, PublicSuite("random-calls"), 0).environment
    found: dict[str, list[End]] = {}
    for group in GROUPS:
        command = ["forge", "test", "--use", str(SOLC), "--json", "-vv", "--mc", f"^{group}Test$"]
        printed = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, timeout=600)
        (results,) = (suite["test_results"] for suite in json.loads(printed.stdout).values())
        ends = (results[f"test{number}()"] for number in range(COUNT))
        found[group] = [
            end_of(end["status"], end["reason"], end["decoded_logs"], end["kind"]["Unit"]["gas"]) for end in ends
        ]
    made = {name: each for name, each in artifacts(folder, ["RandomCalls.t.sol"]).items() if name.endswith("Test")}
    store(FILE, {"artifacts": made, "forge": found})


if __name__ == "__main__":
    record(Path(sys.argv[1]))
