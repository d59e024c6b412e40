"""Compares both forms of a contract by random calls: solc's code on the EVM is the model of resolc's blob.

The calls run on one network from the same state, first with one form, then with the other. So the contract has the same
address, and blocks and senders are equal. Compared are exits, return data, logs, slots, balances and nonces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NamedTuple

from eth_abi.abi import encode
from eth_abi.grammar import parse

from bridge.abi.abi import selector_of
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.receipts import EmittedLog
from hypervisor.errors import InvalidInput
from hypervisor.versions.features import with_features
from localnet import CallFailed, Network, TransactionFailed
from store.cid import Cid, show

FEATURES: Final = ("code-formats",)
GAS_LIMIT: Final = 9_000_000_000
_MAX_ELEMENTS: Final = 3
_MAX_BYTES: Final = 70
_SMALL: Final = 40


class PlannedCall(NamedTuple):
    """A call of a contract: its text, calldata, value in attoFIL, and the number of the sending account."""

    text: str
    data: bytes
    value: int
    sender: int


_CREATION: Final = PlannedCall("constructor", b"", 0, 0)
_SUCCESS: Final = "success"


class Observation(NamedTuple):
    """All that is compared after a call."""

    output: str
    """Return data, or the error."""
    exit: str
    logs: tuple[EmittedLog, ...]
    slots: Cid
    balance: int
    nonce: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A call after which the forms differ."""

    call: PlannedCall
    field: str
    evm: object
    riscv: object

    def __str__(self) -> str:
        return f"{self.call.text}: {self.field} differs\n  EVM:    {_text(self.evm)}\n  RISC-V: {_text(self.riscv)}"


def _text(value: object) -> str:
    return show(value) if isinstance(value, bytes) else f"{value}"


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract in both forms. `installed` are blobs that the RISC-V form creates contracts from."""

    abi: Sequence[Mapping[str, Any]]
    evm: bytes
    riscv: bytes
    arguments: bytes = b""
    installed: Sequence[bytes] = ()


def random_value(kind: str, rng: Random) -> Any:
    """Return a random value of an ABI type: often small or at an end of its range."""
    parsed = parse(kind)
    if parsed.arrlist:
        length = parsed.arrlist[-1][0] if parsed.arrlist[-1] else rng.randrange(_MAX_ELEMENTS + 1)
        return [random_value(parsed.item_type.to_type_str(), rng) for _ in range(length)]
    if hasattr(parsed, "components"):
        return tuple(random_value(part.to_type_str(), rng) for part in parsed.components)
    match parsed.base:
        case "uint" | "int":
            size = int(parsed.sub)
            number = rng.choice((rng.randrange(_SMALL), rng.randrange(_SMALL), rng.getrandbits(size), (1 << size) - 1))
            return number if parsed.base == "uint" else number - (1 << size - 1) if rng.random() < 0.5 else number >> 1
        case "address":
            return rng.choice((bytes(20), rng.randbytes(20), (b"\0" * 19) + bytes([rng.randrange(1, 12)])))
        case "bool":
            return rng.random() < 0.5
        case "string":
            return "".join(rng.choice("abc é\n") for _ in range(rng.randrange(_MAX_BYTES)))
        case "bytes" if parsed.sub:
            return rng.randbytes(int(parsed.sub))
        case "bytes":
            return rng.randbytes(rng.choice((0, 1, 31, 32, 33, rng.randrange(_MAX_BYTES))))
        case _:
            return rng.randbytes(24)  # a function


def plan(abi: Sequence[Mapping[str, Any]], count: int, seed: int) -> list[PlannedCall]:
    """Return random calls of a contract's functions: some with value, some with malformed calldata."""
    rng = Random(seed)  # noqa: S311  # reproducible, not secret
    functions = [entry for entry in abi if entry.get("type") == "function"]
    calls = []
    for _ in range(count):
        name, data, sender, payable = "fallback", b"", rng.randrange(3), True
        if functions and rng.random() < 0.97:
            entry = rng.choice(functions)
            types = [_type_of(item) for item in entry["inputs"]]
            values = [random_value(kind, rng) for kind in types]
            data = selector_of(entry) + encode(types, values)
            name = f"{entry['name']}({', '.join(map(_value_text, values))})"
            payable = entry.get("stateMutability") == "payable"
        if rng.random() < 0.05:
            data = rng.choice((data[: rng.randrange(len(data) + 1)], rng.randbytes(rng.randrange(80))))
            name = f"calldata 0x{data.hex()}"
        value = rng.randrange(1, 1_000) if rng.random() < (0.4 if payable else 0.03) else 0
        calls.append(PlannedCall(name, data, value, sender))
    return calls


def _type_of(item: Mapping[str, Any]) -> str:
    kind: str = item["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(_type_of, item['components']))}){kind.removeprefix('tuple')}"


def _value_text(value: object) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else f"{value}"


def compare(contract: Contract, calls: Sequence[PlannedCall]) -> list[Difference]:
    """Return the differences of both forms. Comparison ends with the first call after which states differ.

    Raises InvalidInput if the constructor fails in both forms.
    """
    with Network(overlay=with_features(FEATURES)) as network:
        for blob in contract.installed:
            network.actors.install(blob)
        start = network.snapshot()
        evm = list(observe(network, contract.evm + contract.arguments, calls))
        network.revert(start)
        riscv = observe(network, contract.riscv + contract.arguments, calls)
        differences: list[Difference] = []
        for call, theirs, ours in zip((_CREATION, *calls), evm, riscv, strict=True):
            found = [
                Difference(call, name, left, right)
                for name, left, right in zip(Observation._fields, theirs, ours, strict=True)
                if left != right
            ]
            differences += found
            if call is _CREATION and not theirs.exit == ours.exit == _SUCCESS:
                if not found:
                    raise InvalidInput(f"the constructor fails in both forms: {ours.exit}; pass --arguments")
                break
            if any(difference.field not in ("output", "exit") for difference in found):
                break
        return differences


def observe(network: Network, init_code: bytes, calls: Iterable[PlannedCall]) -> Iterable[Observation]:
    """Create a contract, call it, and yield what is seen after the creation and after each call."""
    output, exit_ = "", _SUCCESS
    logs: tuple[EmittedLog, ...] = ()
    try:
        receipt = network.send(None, 0, init_code, gas_limit=GAS_LIMIT)
        address = receipt.contract_address
        assert address is not None
        yield _observation(network, address, output, exit_, receipt.logs)
    except TransactionFailed as failed:
        yield Observation("", _error(failed), (), Cid(b""), 0, 0)
        return
    for call in calls:
        sender = network.accounts[call.sender]
        try:
            output = network.call(address, call.data, call.value, sender=sender).hex()
        except CallFailed as failed:
            output = _error(failed)
        try:
            logs = tuple(network.send(address, call.value, call.data, sender=sender, gas_limit=GAS_LIMIT).logs)
            exit_ = _SUCCESS
        except TransactionFailed as failed:
            logs, exit_ = (), _error(failed)
        yield _observation(network, address, output, exit_, logs)


def _error(failed: CallFailed | TransactionFailed) -> str:
    """Return an error's text; running out of gas is equal in both forms, whatever was missing."""
    return "out of gas" if "OUT_OF_GAS" in (text := str(failed)) else text


def _observation(
    network: Network, address: EthAddress, output: str, exit_: str, logs: Iterable[EmittedLog]
) -> Observation:
    machine = network.machine
    state = machine.actor(to_filecoin(address))
    assert state is not None
    slots = EvmState.decode(machine.store.get(state.head)).storage
    return Observation(output, exit_, tuple(logs), slots, int(network.balance(address)), network.nonce(address))
