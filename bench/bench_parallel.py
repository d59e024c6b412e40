"""Parallel execution of blocks: speedup on two cores, and overhead if there is no speedup.

Rows use processor time to reduce the effect of other programs: with two processes that of the longer one, which on two
idle cores is the time until the block is done, except for moments of waiting. Blocks are executed serially and in
parallel alternately on forks of one machine, and the best time of each counts. All runs must give the same receipts and
the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from resource import RUSAGE_CHILDREN, getrusage
from time import process_time, sleep

from wasmtime import wat2wasm

from bench.rows import Row
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.messages import message_from
from bridge.filecoin.parameters import CreateReturn
from hypervisor.bundles.genesis import Genesis
from hypervisor.machine import parallel as parallel_room
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.parallel import BlockMessage, Parallel, ParallelBlock
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID, Gas, MethodNumber, TokenAmount
from store.cid import RAW, cid_of
from tests.runtimes.evm.assembler import assemble, deployer

WORKERS = 2
ROUNDS = 5
COMPUTING, TRANSFERS, TOKENS = 500, 1_000, 100
FIL = 10**18
FEE = TokenAmount(10**9)

COMPUTE = bytes(
    wat2wasm("""(module (memory (export "memory") 1)
    (func (export "invoke") (param i32) (result i32) (local i64 i64)
        (local.set 1 (i64.const 2000000))
        (loop
            (local.set 2 (i64.add (i64.mul (local.get 2) (i64.const 6364136223846793005)) (local.get 1)))
            (br_if 0 (i64.ne (local.tee 1 (i64.sub (local.get 1) (i64.const 1))) (i64.const 0))))
        (i32.const 0)))""")
)

TOKEN = assemble("""
    36 CALLDATALOAD
    CALLER 0 MSTORE 64 0 KECCAK256 DUP1 SLOAD DUP1 ISZERO 1000000000000000000 MUL ADD  ; a first look gives one token
    DUP3 DUP2 LT @refused JUMPI
    DUP3 SWAP1 SUB SWAP1 SSTORE
    4 CALLDATALOAD 0 MSTORE 64 0 KECCAK256 DUP1 SLOAD DUP3 ADD SWAP1 SSTORE
    0 MSTORE 4 CALLDATALOAD CALLER 0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef 32 0 LOG3
    1 0 MSTORE 32 0 RETURN
    refused: 0 0 REVERT
""")


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    yield row("500 native messages that compute", computing())
    yield row("1,000 ERC-20 transfers of 100 tokens", transfers())
    yield row("500 messages that all change one actor", conflicting())


class TimedBlock:
    """A machine, and messages that form a block on it."""

    def __init__(self, senders: int) -> None:
        addresses = [EthAddress((0xA << 152 | number).to_bytes(20, "big")) for number in range(senders)]
        accounts = {to_filecoin(address): TokenAmount(1_000_000 * FIL) for address in addresses}
        self.senders = addresses
        self.machine = Hypervisor.open(genesis=Genesis(accounts=accounts), evm="fast")
        self.messages: list[Message] = []

    def run(self, workers: int) -> tuple[float, Parallel, object]:
        """Return seconds of the longer process, the parallel run's statistics, and receipts and state to compare."""
        machine, parallel = self.machine.fork(), Parallel(workers)

        def apply(message: Message) -> Callable[[], ApplyResult]:
            return lambda: machine.apply(message)

        block = [
            BlockMessage(apply(message), message.from_, message.to, message.value > 0) for message in self.messages
        ]
        start, others = process_time(), _of_ended()
        with ParallelBlock(machine, block, parallel) as running:
            results = [running.apply(number) for number in range(len(block))]
        took = max(process_time() - start, _of_ended() - others)
        assert not any(result.exit_code for result in results), next(r for r in results if r.exit_code)
        return took, parallel, (results, machine.root)


def _of_ended() -> float:
    """Return seconds of all ended processes, including workers."""
    while parallel_room.has_ended_workers():
        sleep(0.001)
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def row(name: str, block: TimedBlock) -> Row:
    """Return the speedup of a block; the serial time is the numerator."""
    serial, both = [], []
    block.run(1)
    for _ in range(ROUNDS):
        alone, beside = block.run(1), block.run(WORKERS)
        if alone[2] != beside[2]:
            raise RuntimeError(f"{name}: the parallel result differs from the serial one")
        serial.append(alone[0])
        both.append(beside[0])
    parallel = beside[1]
    note = (
        f"{min(serial) * 1e3:.0f} ms serially, {min(both) * 1e3:.0f} ms with {WORKERS}; {parallel.accepted} of "
        f"{len(block.messages)} results accepted, {parallel.reexecuted} executed again"
    )
    return Row(name, min(both) / min(serial), note)


def computing() -> TimedBlock:
    """Return native messages of different senders to one actor, which computes for some milliseconds without effect."""
    block = TimedBlock(COMPUTING)
    actor = _create_actor(block.machine, COMPUTE)
    block.messages = [
        Message(
            actor, to_filecoin(sender), method=MethodNumber(2), gas_limit=Gas(10**9), gas_fee_cap=FEE, gas_premium=FEE
        )
        for sender in block.senders
    ]
    return block


def conflicting() -> TimedBlock:
    """Return messages of different senders, each to a different actor that sends value to the same account."""
    block = TimedBlock(COMPUTING)
    block.messages = [
        Message(
            to_filecoin(block.senders[0]),
            to_filecoin(sender),
            value=TokenAmount(1),
            gas_limit=Gas(10**8),
            gas_fee_cap=FEE,
            gas_premium=FEE,
        )
        for sender in block.senders[1:]
    ]
    return block


def transfers() -> TimedBlock:
    """Return transfers of different senders to different receivers, of a hundred tokens."""
    block = TimedBlock(TRANSFERS)
    tokens = [_deploy(block, TOKEN, number) for number in range(TOKENS)]
    block.machine.flush()
    chain_id = block.machine.context.chain_id
    for number, sender in enumerate(block.senders):
        data = bytes(4) + bytes(12) + bytes(18) + number.to_bytes(2, "big") + (10**15).to_bytes(32, "big")
        nonce, token = TOKENS if number == 0 else 0, tokens[number * TOKENS // TRANSFERS]
        transaction = Transaction(DYNAMIC_FEE, chain_id, nonce, token, 0, data, 10**8, FEE, FEE)
        block.messages.append(message_from(transaction, to_filecoin(sender)))
    return block


def _deploy(block: TimedBlock, code: bytes, nonce: int) -> EthAddress:
    """Deploy code from the first sender and return its address."""
    chain_id, deploying = block.machine.context.chain_id, to_filecoin(block.senders[0])
    creation = Transaction(DYNAMIC_FEE, chain_id, nonce, None, 0, deployer(code), 10**9, FEE, FEE)
    result = block.machine.apply(message_from(creation, deploying))
    assert result.exit_code == 0, result
    return CreateReturn.decode(result.return_data).eth_address


def _create_actor(machine: Hypervisor, module: bytes, actor: int = 1_000_000) -> Address:
    code = cid_of(module, RAW)
    machine.store.put(code, module)
    machine.state_tree.set_actor(ActorID(actor), ActorState(code))
    return Address.id(actor)
