"""The guest's host calls while a frame runs: one function for each, executed by the frame's host.

The numbers are the guest's (`guests/frames/src/host.rs`). Arguments and results are in the mailbox. Errors of the host
are stored by `FastInstance.execute_host_call`.
"""

from collections.abc import Callable
from typing import Final

from bridge.evm_steps import EvmCost, EvmStep
from hypervisor.errors import Fatal
from runtimes.evm.contracts.engine import Host
from runtimes.evm.frames.instance import MAX_REUSED_MEMORY, FastInstance

_WORD: Final = 32


def _overdraw(guest: FastInstance, host: Host) -> None:
    host.gas.overdraw(guest.numbers[0])
    guest.update_regions()  # here, since a frame draws gas at intervals, and the call has no result in the mailbox


def _grow(guest: FastInstance, host: Host) -> None:
    wanted = guest.numbers[0] = host.grow_memory(guest.numbers[0])
    if wanted > MAX_REUSED_MEMORY:
        guest.hold(wanted)  # growing memory is copied


def _get_storage(guest: FastInstance, host: Host) -> None:
    guest.put(host.get_storage(guest.word(0)))


def _set_storage(guest: FastInstance, host: Host) -> None:
    host.set_storage(guest.word(0), guest.word(1))


def _get_transient(guest: FastInstance, host: Host) -> None:
    guest.put(host.get_transient_storage(guest.word(0)))


def _set_transient(guest: FastInstance, host: Host) -> None:
    host.set_transient_storage(guest.word(0), guest.word(1))


def _balance(guest: FastInstance, host: Host) -> None:
    guest.put(host.get_balance(guest.address(0)))


def _self_balance(guest: FastInstance, host: Host) -> None:
    guest.put(host.get_self_balance())


def _code_size(guest: FastInstance, host: Host) -> None:
    guest.put(host.get_code_size(guest.address(0)))


def _code_hash(guest: FastInstance, host: Host) -> None:
    guest.put_bytes(host.get_code_hash(guest.address(0)))


def _load_code(guest: FastInstance, host: Host) -> None:
    guest.code = host.copy_code(guest.address(0))


def _copy_code(guest: FastInstance, _: Host) -> None:
    target, size = guest.numbers[0], guest.numbers[1]
    offset = guest.word(0)
    guest.write(target, guest.code[offset : offset + size])


def _context(guest: FastInstance, host: Host) -> None:
    """Write the context in the guest's order: gas price, coinbase, time, number, gas limit, chain, base fee."""
    context = host.get_tx_context()
    guest.put(context.gas_price, 0)
    guest.put_bytes(context.coinbase, 1)
    guest.put(context.timestamp, 2)
    guest.put(context.number, 3)
    guest.put(context.gas_limit, 4)
    guest.put(context.chain_id, 5)
    guest.put(context.base_fee, 6)


def _origin(guest: FastInstance, host: Host) -> None:
    guest.put_bytes(host.get_origin())


def _prev_randao(guest: FastInstance, host: Host) -> None:
    guest.put_bytes(host.get_prev_randao())


def _gas_left(guest: FastInstance, host: Host) -> None:
    guest.put(host.get_gas_left())


def _block_hash(guest: FastInstance, host: Host) -> None:
    guest.put_bytes(host.get_block_hash(guest.word(0)))


def _keccak256(guest: FastInstance, host: Host) -> None:
    guest.put_bytes(host.keccak256(guest.read(guest.numbers[0], guest.numbers[1])))


def _log(guest: FastInstance, host: Host) -> None:
    offset, size, count = guest.numbers[0], guest.numbers[1], guest.numbers[2]
    topics = [guest.word(number).to_bytes(_WORD, "big") for number in range(count)]
    host.emit_log(topics, guest.read(offset, size))


def _selfdestruct(guest: FastInstance, host: Host) -> None:
    host.selfdestruct(guest.address(0))


def _step(guest: FastInstance, host: Host) -> None:
    """Report the last instruction's cost and the next instruction to the tracer; return how many to skip after it."""
    left_out = 0
    if guest.pause is not None:
        left_out = guest.pause(guest.numbers[0], lambda: _instruction(guest, host))
    elif guest.visit is not None:
        guest.visit(guest.numbers[0])
    else:
        tracer, left = host.steps, host.gas.left
        if tracer is None:
            raise Fatal("the guest traces a frame without a tracer")
        if guest.before is not None:
            tracer.step(EvmCost(guest.before - left))
        guest.before = left
        tracer.step(_instruction(guest, host))
    guest.numbers[0] = left_out


def _instruction(guest: FastInstance, host: Host) -> EvmStep:
    position, stack, depth, memory, size, returned, length = guest.numbers
    words = guest.read(stack, depth * _WORD)
    opcode = guest.opcode_at(position)
    return EvmStep(
        pc=position,
        opcode=opcode,
        name=guest.names.get(opcode, f"opcode {opcode:#x} not defined"),
        gas=host.gas.left,
        stack=tuple(int.from_bytes(words[at : at + _WORD], "little") for at in range(0, len(words), _WORD)),
        memory=guest.read(memory, size),
        return_data=guest.read(returned, length),
        refund=host.get_refund(),
    )


HOST_CALLS: Final[tuple[Callable[[FastInstance, Host], None], ...]] = (
    _overdraw, _grow, _get_storage, _set_storage, _get_transient, _set_transient, _balance, _self_balance,
    _code_size, _code_hash, _load_code, _copy_code, _context, _origin, _prev_randao, _gas_left, _block_hash,
    _keccak256, _log, _selfdestruct, _step,
)  # fmt: skip
"""Host calls by number."""
