"""A py-evm computation for one frame, without state object, child computations and gas meter.

It has only what py-evm's opcode functions use: code, message, stack, memory, return data, output, and two hooks. Gas
comes from the budget shared with the host, memory from the host.
"""

from eth.exceptions import VMError
from eth.vm.code_stream import CodeStream
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.memory import Memory
from eth.vm.stack import Stack

from hypervisor.errors import Fatal
from runtimes.evm.engine import U32_MAX, Frame, Host, Status


class FrameError(VMError):
    """Ends the frame with a status that has no py-evm error."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


class FrameMessage:
    """The fields of a message that opcodes read."""

    __slots__ = ("data", "data_as_bytes", "is_static", "sender", "storage_address", "value")

    def __init__(self, frame: Frame) -> None:
        self.data = self.data_as_bytes = frame.calldata
        self.is_static = frame.static
        self.sender = frame.caller
        self.storage_address = frame.address
        self.value = frame.value


class FrameComputation(CancunComputation):
    """The object passed to opcode functions."""

    def __init__(self, frame: Frame, host: Host) -> None:
        # the parent's __init__ is skipped: it needs a state, a transaction and a gas meter, which no opcode here uses
        self.frame = frame
        self.host = host
        self.msg = FrameMessage(frame)  # type: ignore[assignment]  # only the fields that are used
        self.code = CodeStream(frame.code.data)
        self.jump_destinations = frame.code.jump_destinations
        self._stack = stack = Stack()
        self._memory = Memory()
        self._granted = 0
        self.return_region = (0, 0)
        # py-evm looks these up through a cached property, whose first access costs as much as ten opcodes
        self.__dict__.update(
            stack_pop_ints=stack.pop_ints,
            stack_pop_bytes=stack.pop_bytes,
            stack_pop_any=stack.pop_any,
            stack_pop1_int=stack.pop1_int,
            stack_pop1_bytes=stack.pop1_bytes,
            stack_pop1_any=stack.pop1_any,
            stack_push_int=stack.push_int,
            stack_push_bytes=stack.push_bytes,
        )

    def consume_gas(self, amount: int, reason: str) -> None:
        """Raise Fatal: py-evm functions with their own prices are not used here."""
        raise Fatal(f"py-evm charges {amount} gas for '{reason}', which the rules do not price")

    def pay_for_copy(self, size: int) -> None:
        """Charge for copying `size` bytes."""
        self.pay(self.frame.rules.copy_gas(size))

    def pay(self, amount: int) -> None:
        """Charge EVM gas; raises OutOfGas."""
        gas = self.host.gas
        if amount > gas.remaining:
            gas.overdraw(amount)
        gas.remaining -= amount

    def extend_memory(self, start_position: int, size: int) -> None:
        """Extend memory to include a region; an empty region may lie anywhere.

        Raises FrameError if it ends above 32 bits; the host ends the frame if the process cannot allocate the memory.
        """
        if size == 0:
            return
        end = start_position + size
        if end <= len(self._memory):
            return
        if end > U32_MAX:
            raise FrameError(Status.ILLEGAL_MEMORY_ACCESS)
        if end > self._granted:
            self._granted = self.host.grow_memory((end + 31) & ~31)
        self._memory.extend(start_position, size)

    def region(self, start: int, size: int) -> bytes:
        """Return the bytes of a memory region, extending memory if needed."""
        self.extend_memory(start, size)
        return self._memory.read_bytes(start, size) if size else b""

    def write(self, start: int, size: int, data: bytes) -> None:
        """Write `data`, zero-padded to `size`, to a memory region, extending memory if needed."""
        self.extend_memory(start, size)
        self._memory.write(start, size, data.ljust(size, b"\0"))
