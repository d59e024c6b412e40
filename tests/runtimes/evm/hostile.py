"""Hostile bytecode in a process with limited memory: `python -m tests.runtimes.evm.hostile RULES EVM [BUNDLE]`.

Prints one JSON object: the end of each program, the process's peak memory (MiB), and whether the interpreter's
recursion limit is unchanged.
"""

import itertools
import json
import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import LEGACY, Transaction
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, invoke_return, unwrap_return
from hypervisor.bundles.bundle import Bundle
from hypervisor.context import MachineContext
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import EAM_ACTOR, ChainEpoch, Gas, MethodNumber, TokenAmount
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, read_alloc
from runtimes.evm.revm.executor import EthereumExecutor
from runtimes.evm.revm.transactions import TransactionResult
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import SENDER as CHAIN_SENDER
from tests.runtimes.evm.chain import Chain, open_machine

STATUS = Path("/proc/self/status")
ALLOWANCE = 1 << 30
"""Bytes of private memory that the process may claim in addition to its memory once everything is compiled, which
includes the pool of instances (gigabytes that are hardly used) and the compiler's remains."""

HUGE = {"four gigabytes": (1 << 32) - 32, "32 bits": 1 << 32, "64 bits": 1 << 64, "256 bits": (1 << 256) - 1}
RANGES = {
    "MSTORE": "1 {0} MSTORE", "MSTORE8": "1 {0} MSTORE8", "MLOAD": "{0} MLOAD", "KECCAK256": "{0} 0 KECCAK256",
    "CALLDATACOPY": "{0} 0 0 CALLDATACOPY", "CODECOPY": "{0} 0 0 CODECOPY", "MCOPY": "{0} 0 0 MCOPY",
    "MCOPY from afar": "32 {0} 0 MCOPY", "EXTCODECOPY": "{0} 0 0 ADDRESS EXTCODECOPY",
    "RETURNDATACOPY": "{0} 0 0 RETURNDATACOPY", "LOG0": "{0} 0 LOG0", "CREATE": "{0} 0 0 CREATE",
    "CREATE2": "0 {0} 0 0 CREATE2", "CALL with": "0 0 {0} 0 0 ADDRESS 0 CALL", "RETURN": "{0} 0 RETURN",
    "REVERT": "{0} 0 REVERT", "STATICCALL for": "{0} 0 0 0 4 GAS STATICCALL",
}  # fmt: skip
"""Programs by name, with a placeholder for the size of a memory region."""

HEIRS = ((0, 1, 2), (1, 2, 0), (1, 0, 0), (0, 0, 0), (2, 2, 1))
"""Beneficiaries of each of the three: itself, in a circle, mutually, all the same one, in a chain."""

SENDER = EthAddress(bytes([0xCC]) * 20)
CONTRACT = EthAddress(bytes([0xAA]) * 20)
THREE = tuple(EthAddress(bytes([number]) * 20) for number in (0xB1, 0xB2, 0xB3))

RECURSION = "32 0 0 0 0 ADDRESS GAS CALL POP 1 0 MLOAD ADD 0 MSTORE 32 0 RETURN"
"""A contract that calls itself with all gas, and returns the number of frames from it downwards."""

TO_CALLDATA = "0 CALLDATALOAD SELFDESTRUCT"
"""A contract that destroys itself in favour of the address in the calldata."""


def ranges() -> Iterator[tuple[str, bytes]]:
    """Yield programs that claim more memory than available."""
    for (operation, program), (size, number) in itertools.product(RANGES.items(), HUGE.items()):
        yield f"{operation} {size}", assemble(program.format(number))


def orders() -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Yield three contracts that self-destruct in every order, one of them twice: (contract, beneficiary)."""
    for order in itertools.permutations(range(3)):
        for heirs in HEIRS:
            calls = [(who, heirs[who]) for who in order]
            yield f"{order} to {heirs}", [*calls, calls[0]]


def director(contracts: Sequence[EthAddress], calls: list[tuple[int, int]]) -> bytes:
    """Return a program that lets contracts self-destruct."""
    lines = (
        f"{hexed(contracts[heir])} 0 MSTORE 0 0 32 0 0 {hexed(contracts[who])} GAS CALL POP" for who, heir in calls
    )
    return assemble(f"{' '.join(lines)} STOP")


class OnFilecoin:
    """Filecoin's rules, on our EVM runtime or the official actor. Results are exit codes."""

    def __init__(self, evm: str, bundle: Path | None) -> None:
        options: dict[str, Any] = {} if bundle is None else {"bundle": Bundle.open(bundle)}
        self.chain = Chain(open_machine(evm=evm, **options))

    def run(self, code: bytes, gas: int) -> Any:
        result = self.chain.invoke(self.chain.deploy(code), gas_limit=Gas(gas))
        return [result.exit_code, result.gas_used == gas]

    def create(self, size: int) -> Any:
        """Return the exit code of creating a contract with code of this size."""
        init = byte_string(assemble(f"{size} 0 RETURN"))
        return self.chain.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, init).exit_code

    def recurse(self) -> Any:
        """Return the number of frames of a contract that calls itself with unlimited gas."""
        message = Message(
            to=to_filecoin(self.chain.deploy(assemble(RECURSION))),
            from_=CHAIN_SENDER,
            method=MethodNumber(INVOKE_EVM),
            gas_limit=Gas(2**63 - 1),
        )
        result = self.chain.machine.apply_implicit(message)
        return int.from_bytes(invoke_return(result.return_data), "big")

    def destroy(self, calls: list[tuple[int, int]]) -> Any:
        """Return the exit code of destroying three contracts, their balances, and whether they keep code."""
        three = [self.chain.deploy(assemble(TO_CALLDATA), value=10**place) for place in range(1, 4)]
        exit_code = self.chain.invoke(self.chain.deploy(director(three, calls))).exit_code
        sizes = " ".join(f"{hexed(address)} EXTCODESIZE {32 * place} MSTORE" for place, address in enumerate(three))
        data = self.chain.call(self.chain.deploy(assemble(f"{sizes} 96 0 RETURN")))
        balances = [self.chain.balance(to_filecoin(address)) for address in three]
        return [exit_code, balances, [bool(size) for size in data[31::32]]]


class OnEthereum:
    """Ethereum's rules. Results are a transaction's success, and whether it used all gas."""

    def __init__(self, evm: str) -> None:
        self._machine = Hypervisor.open(rules="ethereum", evm=evm)
        block = EthereumBlock(fork="Cancun", gas_limit=10**13, filecoin_addresses=False)
        self._machine.context = MachineContext(
            epoch=ChainEpoch(1), timestamp=1, base_fee=TokenAmount(0), chain_id=1, rules="ethereum", block=block
        )
        self._before = self._machine.snapshot()

    def run(self, code: bytes, gas: int) -> Any:
        result, _ = self._apply({CONTRACT: AllocAccount(balance=1, code=code)}, CONTRACT, b"", gas)
        return [int(not result.success), result.gas_used == gas]

    def create(self, size: int) -> Any:
        """Return 1 if creating a contract of this size fails, else 0."""
        result, _ = self._apply({}, None, assemble(f"{size} 0 RETURN"), 30_000_000)
        return int(not result.success)

    def recurse(self) -> Any:
        """Return the number of frames of a contract that calls itself with sufficient gas."""
        code = {CONTRACT: AllocAccount(code=assemble(RECURSION))}
        result, _ = self._apply(code, CONTRACT, b"", 10**12)
        return int.from_bytes(unwrap_return(result.output), "big")

    def destroy(self, calls: list[tuple[int, int]]) -> Any:
        """Return the contracts' balances after a transaction that destroys them, and whether they have code."""
        pre = {address: AllocAccount(10**place, code=assemble(TO_CALLDATA)) for place, address in enumerate(THREE, 1)}
        pre[CONTRACT] = AllocAccount(code=director(THREE, calls))
        result, after = self._apply(pre, CONTRACT, b"", 30_000_000)
        left = [after.get(address, AllocAccount()) for address in THREE]
        return [int(not result.success), [item.balance for item in left], [bool(item.code) for item in left]]

    def _apply(
        self, pre: dict[EthAddress, AllocAccount], to: EthAddress | None, data: bytes, gas: int
    ) -> tuple[TransactionResult, dict[EthAddress, AllocAccount]]:
        self._machine.restore(self._before)
        install_alloc(self._machine, pre | {SENDER: AllocAccount(balance=10**24)})
        transaction = Transaction(LEGACY, None, 0, to, 0, data, gas, 0, 0)
        result = EthereumExecutor(self._machine).apply_transaction(transaction, SENDER)
        return result, dict(read_alloc(self._machine))


def main() -> None:
    """Run everything and print the results."""
    rules, evm, *bundle = sys.argv[1:]
    side = OnEthereum(evm) if rules == "ethereum" else OnFilecoin(evm, Path(bundle[0]) if bundle else None)
    gas = {"filecoin": 10**10, "ethereum": 30_000_000}[rules]
    side.run(assemble("STOP"), gas)  # loads and compiles the engine, before memory is limited
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if STATUS.exists():
        resource.setrlimit(resource.RLIMIT_DATA, (in_kib("VmData") * 1024 + ALLOWANCE, most))
    limit = sys.getrecursionlimit()
    found: dict[str, Any] = {
        "ranges": {name: side.run(code, gas) for name, code in ranges()},
        "endless": side.run(assemble("again: @again JUMP"), gas // 30),
        "created": {size: side.create(size) for size in (24_576, 24_577)},
        "destroyed": {name: side.destroy(calls) for name, calls in orders()},
    }
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))  # each of the many threads reserves a stack
    found["frames"] = side.recurse()
    found["recursion limit kept"] = sys.getrecursionlimit() == limit
    found["MiB"] = peak_memory()
    print(json.dumps(found))


def peak_memory() -> int:
    """Return the peak memory of this process in MiB. Its ru_maxrss may be that of its parent."""
    return (in_kib("VmHWM") if STATUS.exists() else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) >> 10


def in_kib(name: str) -> int:
    """Return a value of Linux's process status, in KiB."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


def hexed(address: bytes) -> str:
    return "0x" + address.hex()


if __name__ == "__main__":
    main()
