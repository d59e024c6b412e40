"""The EVMC-like host of a frame under Ethereum's rules.

Each operation first charges its price beyond the opcode's static gas. A frame that cannot pay raises OutOfGas, and the
runtime ends it.
"""

from collections.abc import Sequence
from typing import Final, cast

from bridge.ethereum.addresses import EthAddress, word_to_address
from bridge.ethereum.block import EthereumBlock
from bridge.evm_steps import SelfDestructed, SlotWritten
from bridge.filecoin.receipts import Log
from bridge.gas import SLICE, GasBudget
from hypervisor.context import ExternError
from hypervisor.errors import OutOfGas
from hypervisor.kernel import Kernel
from hypervisor.machine.machine_state import MachineState
from hypervisor.tracing import StepTracer, step_tracer
from hypervisor.types import ChainEpoch
from runtimes.evm.code import EMPTY_CODE_HASH
from runtimes.evm.engine import TxContext
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.gas_table import StateGasMeter, words
from store.cid import split_cid
from store.keccak import keccak

_BLOCK_HASHES: Final = 256


def block_hash(machine: MachineState, number: int) -> bytes:
    """Return the hash of one of the last 256 blocks, zeros for any other number."""
    if not max(machine.context.epoch - _BLOCK_HASHES, 0) <= number < machine.context.epoch:
        return bytes(32)
    try:
        return split_cid(machine.externs.tipset_cid(ChainEpoch(number))).digest[:32].rjust(32, b"\0")
    except ExternError:
        return bytes(32)


def block_randomness(machine: MachineState, block: EthereumBlock) -> bytes:
    """Return the block's own randomness if it is set, else the beacon's. Raises ExternError."""
    return machine.externs.beacon_randomness(machine.context.epoch) if block.randomness is None else block.randomness


_MAPPING_KEY: Final = 64
"""Input size in bytes of the hash for a mapping's slot: the key and the mapping's own slot."""


class EthereumHost:
    """The environment of one frame; see `runtimes.evm.engine.Host`.

    `address` is that of the contract in whose context the frame runs; `caller` and `value` are the frame's.
    """

    def __init__(
        self, kernel: Kernel, calls: EthereumCalls, address: EthAddress, caller: EthAddress, value: int
    ) -> None:
        self.calls = calls
        self.kernel = kernel
        self.frames = calls.frames
        self.accounts = calls.accounts
        self.fork = calls.environment.fork
        self.actor = kernel.context.receiver
        self.address = address
        self.message = calls.identity
        self.meter = calls.state_gas
        self.caller = caller
        self.value = value
        self.static = kernel.context.read_only
        self.gas = GasBudget(calls.gas, 1, SLICE)
        self.prices = self.fork.gas
        self._memory_words = 0
        self._memory_price = 0

    @property
    def steps(self) -> StepTracer | None:
        tracer = self.calls.tracer
        return None if tracer is None else step_tracer(tracer)

    def get_refund(self) -> int:
        """Return the transaction's refund counter."""
        return self.accounts.refund

    def execute(self, opcode: int, operands: Sequence[int], memory: bytes = b"") -> tuple[int, bytes]:
        """Execute an instruction for the plain engine; see `runtimes.evm.engine.EthereumHost`."""
        if opcode in (0x54, 0x5C):
            return (self.get_storage if opcode == 0x54 else self.get_transient_storage)(operands[0]), b""
        if opcode in (0x55, 0x5D):
            (self.set_storage if opcode == 0x55 else self.set_transient_storage)(*operands)
        elif 0xA0 <= opcode <= 0xA4:
            self.emit_log([topic.to_bytes(32, "big") for topic in operands[2:]], memory)
        elif opcode == 0xFF:
            self.selfdestruct(word_to_address(operands[0]))
        elif opcode == 0x3C:
            self.charge(self.prices.copy_word * words(operands[3]))
            code = self.copy_code(word_to_address(operands[0]))
            return 0, code[operands[2] : operands[2] + operands[3]]
        elif opcode == 0x20:
            return int.from_bytes(self.keccak256(memory), "big"), b""
        else:
            found = self._read(opcode, operands)
            return found if isinstance(found, int) else int.from_bytes(found, "big"), b""
        return 0, b""

    def _read(self, opcode: int, operands: Sequence[int]) -> int | bytes:
        context = self.calls.environment.context
        match opcode:
            case 0x31:
                return self.get_balance(word_to_address(operands[0]))
            case 0x3B:
                return self.get_code_size(word_to_address(operands[0]))
            case 0x3F:
                return self.get_code_hash(word_to_address(operands[0]))
            case 0x32:
                return self.get_origin()
            case 0x40:
                return self.get_block_hash(operands[0])
            case 0x44:
                return self.get_prev_randao()
            case 0x47:
                return self.get_self_balance()
            case 0x49:
                return self.get_blob_hash(operands[0])
            case 0x4A:
                return self.get_blob_base_fee()
            case 0x4B:
                return self.get_slot_number()
        names = {0x3A: "gas_price", 0x41: "coinbase", 0x42: "timestamp", 0x43: "number", 0x45: "gas_limit"}
        return cast(int | bytes, getattr(context, names.get(opcode, "chain_id" if opcode == 0x46 else "base_fee")))

    # --- gas --------------------------------------------------------------------------------------------------

    def charge(self, amount: int) -> None:
        """Charge gas; raises OutOfGas."""
        gas = self.gas
        if amount > gas.remaining:
            gas.overdraw(amount)
        gas.remaining -= amount

    def charge_new_account(self) -> None:
        """Charge the state gas of a new account, if the fork has state gas; raises OutOfGas."""
        meter = self.meter
        if meter is not None:
            self.charge(meter.charge(self.prices.account_bytes * self.prices.state_byte))

    def refund_new_account(self) -> None:
        """Refund the state gas of an account whose creation failed."""
        meter = self.meter
        if meter is not None:
            self.gas.remaining += meter.refund(self.prices.account_bytes * self.prices.state_byte)

    def access(self, address: EthAddress) -> int:
        """Return the price of accessing an address, and warm it."""
        return self.prices.warm if self.accounts.warm(address) else self.prices.cold_account

    def grow_memory(self, size: int) -> int:
        """Charge for memory up to `size` bytes; more than the machine's limit (512 MiB) is out of gas as well."""
        count = words(size)
        if count > self._memory_words:
            price = self.prices.memory(count)
            self.charge(price - self._memory_price)
            if not self.calls.memory.grow(self._memory_words << 5, count << 5):
                raise OutOfGas(f"memory of {size} bytes exceeds the machine's limit")
            self._memory_words, self._memory_price = count, price
        return count << 5

    def get_gas_left(self) -> int:
        """Return the remaining gas."""
        if self.frames is not None and self.frames.is_armed:
            self.frames.before_gas_read(self)
        return self.gas.left

    # --- state ------------------------------------------------------------------------------------------------

    def get_storage(self, key: int) -> int:
        if self.frames is not None and self.frames.is_armed:
            self.frames.on_storage_access(self, key, None)
        word, warm = self.accounts.load(self.actor, key)
        self.charge(self.prices.warm if warm else self.prices.cold_slot)
        if self.frames is not None and self.frames.is_armed:
            self.frames.after_storage_access(self, key, word, None)
        return word

    def set_storage(self, key: int, value: int) -> None:
        """Write a slot; not with only the stipend of a transfer left (EIP-2200)."""
        if self.gas.left <= self.prices.slot_sentry:
            raise OutOfGas("writing a slot needs more gas than a transfer's stipend")
        if self.frames is not None and self.frames.is_armed:
            self.frames.on_storage_access(self, key, value)
        current, warm = self.accounts.load(self.actor, key)
        original = self.accounts.original(self.actor, key)
        cost, refund = self.prices.sstore(original, current, value)
        self.charge(cost if warm else cost + self.prices.cold_write)
        if self.meter is not None:
            self._count_growth(self.meter, self.prices.slot_growth(original, current, value))
        self.accounts.add_refund(refund)
        if value != current:
            self.accounts.store(self.actor, key, value)
            if self.calls.tracer is not None:
                self.calls.tracer.event(SlotWritten(key, current, value, refund))
        if self.frames is not None and self.frames.is_armed:
            self.frames.after_storage_access(self, key, current, value)

    def _count_growth(self, meter: StateGasMeter, growth: int) -> None:
        """Charge or refund the state gas of a written slot; raises OutOfGas."""
        if growth > 0:
            self.charge(meter.charge(growth))
        elif growth:
            self.gas.remaining += meter.refund(-growth)

    def get_transient_storage(self, key: int) -> int:
        return self.accounts.load_transient(self.actor, key)

    def set_transient_storage(self, key: int, value: int) -> None:
        self.accounts.store_transient(self.actor, key, value)

    # --- accounts ---------------------------------------------------------------------------------------------

    def get_balance(self, address: EthAddress) -> int:
        self._report_access("BALANCE", address)
        self.charge(self.access(address))
        return self.accounts.balance(self.accounts.find(address))

    def get_self_balance(self) -> int:
        """Return the contract's own balance."""
        return self.accounts.balance(self.actor)

    def get_code_size(self, address: EthAddress) -> int:
        self._report_access("EXTCODESIZE", address)
        self.charge(self.access(address) + self.prices.code_read)
        return len(self.accounts.code(self.accounts.find(address)))

    def get_code_hash(self, address: EthAddress) -> bytes:
        """Return the hash of the code at an address, zeros for a missing or empty account (EIP-1052)."""
        self._report_access("EXTCODEHASH", address)
        self.charge(self.access(address))
        actor = self.accounts.find(address)
        if actor is None or self.accounts.is_empty(actor):
            return EMPTY_CODE_HASH if address in self.calls.filecoin_precompiles else bytes(32)
        return self.accounts.code_hash(actor)

    def copy_code(self, address: EthAddress) -> bytes:
        self._report_access("EXTCODECOPY", address)
        self.charge(self.access(address) + self.prices.code_read)
        return self.accounts.code(self.accounts.find(address))

    def _report_access(self, opcode: str, address: EthAddress) -> None:
        if self.frames is not None and self.frames.is_armed:
            self.frames.before_account_access(self, opcode, address)

    # --- transaction and block --------------------------------------------------------------------------------

    def get_tx_context(self) -> TxContext:
        return self.calls.environment.context

    def get_origin(self) -> EthAddress:
        """Return the transaction's sender."""
        return self.calls.environment.origin

    def get_prev_randao(self) -> bytes:
        """Return the block's randomness."""
        return block_randomness(self.calls.machine, self.calls.environment.block)

    def get_block_hash(self, number: int) -> bytes:
        """Return the hash of one of the last 256 blocks, zeros for any other number."""
        return block_hash(self.calls.machine, number)

    def get_blob_hash(self, index: int) -> bytes:
        """Return the versioned hash of one of the transaction's blobs, zeros for any other index."""
        hashes = self.calls.environment.blob_hashes
        return hashes[index] if index < len(hashes) else bytes(32)

    def get_slot_number(self) -> int:
        return self.calls.environment.block.slot_number

    def get_blob_base_fee(self) -> int:
        return self.calls.environment.blob_base_fee

    def keccak256(self, data: bytes) -> bytes:
        """Return a hash; charges for the words, on top of the opcode's static gas."""
        self.charge(self.prices.keccak_word * words(len(data)))
        digest = keccak(data)
        if self.frames is not None and len(data) == _MAPPING_KEY and self.frames.is_armed:
            self.frames.on_hash(self, data, digest)
        return digest

    # --- effects ----------------------------------------------------------------------------------------------

    def emit_log(self, topics: Sequence[bytes], data: bytes) -> None:
        self.charge(self.prices.log_byte * len(data))
        self.calls.log(self.actor, Log(tuple(topics), data))

    def selfdestruct(self, beneficiary: EthAddress) -> None:
        """Transfer the balance and remove the account at the end; since Cancun only if it is new (EIP-6780)."""
        self._report_access("SELFDESTRUCT", beneficiary)
        accounts, balance = self.accounts, self.get_self_balance()
        self.charge(0 if accounts.warm(beneficiary) else self.prices.cold_account)
        if (balance or not self.fork.clears_empty) and not accounts.exists(beneficiary):
            self.charge(self.prices.heir_account)
            self.charge_new_account()
        accounts.touch(beneficiary)
        if balance:
            beneficiary_id = accounts.find(beneficiary)
            if beneficiary_id is None:
                beneficiary_id = accounts.create_account(beneficiary)
            accounts.add_balance(self.actor, -balance)
            accounts.add_balance_wrapping(
                beneficiary_id, balance
            )  # as in geth and revm, where only calls check for an overflow
            if self.fork.transfer_logs and beneficiary_id != self.actor:
                self.calls.log_transfer(self.actor, beneficiary_id, balance)
        if not self.fork.destroys_new_only or accounts.was_created(self.actor):
            if not accounts.was_destroyed(self.actor):
                accounts.add_refund(self.prices.destroy_refund)
            if self.fork.burns_balance:
                accounts.add_balance(self.actor, -accounts.balance(self.actor))
            accounts.destroy(self.actor)
        if self.calls.tracer is not None:
            self.calls.tracer.event(SelfDestructed(accounts.address_of(self.actor), beneficiary, balance))
