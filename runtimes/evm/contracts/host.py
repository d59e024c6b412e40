"""The EVMC-like host of one frame over the kernel: its operations, and the inspection of accounts.

Contracts inspect the kind of account at an address, and its code (builtin-actors actors/evm instructions/ext.rs): a
contract has its code, an account none, any other native actor the single byte fe (so that checks for code succeed), a
precompile none; without an actor the code hash is 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress, to_filecoin
from bridge.ethereum.transactions import delegation_of
from bridge.evm_steps import SlotWritten
from bridge.filecoin.cbor import ParamsError, read_byte_string
from bridge.filecoin.receipts import Log, log_to_entries
from hypervisor.bundles.manifest import ACCOUNT_TYPES, ACTOR_NAMES
from hypervisor.errors import ActorExit, SyscallError
from hypervisor.exit_codes import FIRST_USER_EXIT_CODE, ExitCode
from hypervisor.kernel.call import LentCode
from hypervisor.messages.address import Address
from hypervisor.tracing import Tracer, with_steps
from hypervisor.types import METHOD_SEND, MethodNumber
from runtimes.evm.contracts.code import EMPTY_CODE_HASH
from runtimes.evm.contracts.contract import EvmContract
from runtimes.evm.contracts.engine import TxContext
from runtimes.evm.contracts.rules import EvmRules
from runtimes.evm.contracts.syscalls import TWO_GIB, Syscalls, charge_memory, hold
from store.cid import Cid, split_cid
from store.codec import CodecError, decode, unlink
from store.keccak import keccak

GET_BYTECODE: Final = MethodNumber(3)
GET_BYTECODE_HASH: Final = MethodNumber(4)
NATIVE_CODE: Final = b"\xfe"
NATIVE_CODE_HASH: Final = keccak(NATIVE_CODE)
NOTHING_HASH: Final = bytes(32)


class AccountKind(Enum):
    """The kinds of accounts at an Ethereum address."""

    NOTHING = "nothing"
    PRECOMPILE = "precompile"
    ACCOUNT = "account"
    CONTRACT = "contract"
    NATIVE = "native"
    DELEGATED = "delegated"


@dataclass(frozen=True, slots=True)
class InspectedAccount:
    """An account; `address` is that of a contract, or of an account that may delegate to one's code."""

    kind: AccountKind
    address: Address | None = None


@dataclass(slots=True)
class AccountInspector:
    """Inspects accounts for one frame."""

    _syscalls: Syscalls
    _contract: EvmContract
    _rules: EvmRules

    def find(self, address: EthAddress) -> InspectedAccount:
        if address in self._rules.precompiles:
            return InspectedAccount(AccountKind.PRECOMPILE)
        actor = self._syscalls.resolve(to_filecoin(address))
        code = None if actor is None else self._syscalls.code_of(actor)
        if actor is None or code is None:
            return InspectedAccount(AccountKind.NOTHING)
        number = self._syscalls.builtin_type(code)
        name = ACTOR_NAMES[number - 1] if number else ""
        if name in ACCOUNT_TYPES:
            if name == "ethaccount" and self._syscalls.kernel.calls.lent_code is not None:
                return InspectedAccount(AccountKind.DELEGATED, Address.id(actor))
            return InspectedAccount(AccountKind.ACCOUNT)
        is_contract = self._syscalls.kernel.machine.traits(code).is_contract
        return InspectedAccount(AccountKind.CONTRACT if is_contract else AccountKind.NATIVE, Address.id(actor))

    def delegate(self, delegated: InspectedAccount) -> InspectedAccount:
        """Return the account that DELEGATECALL of an account runs: its delegate, or the account itself."""
        lent = self._syscalls.kernel.calls.lent_code
        if lent is None or not lent.delegate_calls:
            return InspectedAccount(AccountKind.ACCOUNT)
        cid = None if delegated.address is None else self.bytecode_cid(delegated.address)
        delegate = None if cid is None else delegation_of(self._open(cid))
        return InspectedAccount(AccountKind.ACCOUNT) if delegate is None else self.find(delegate)

    def code_size(self, address: EthAddress) -> int:
        return len(self.code(address))

    def code(self, address: EthAddress) -> bytes:
        found = self.find(address)
        if found.kind is AccountKind.NATIVE:
            return NATIVE_CODE
        if found.address is None:
            return b""
        cid = self.bytecode_cid(found.address)
        return b"" if cid is None else self._open(cid)

    def _open(self, bytecode: Cid) -> bytes:
        try:
            return self._syscalls.open(bytecode)
        except SyscallError as error:
            raise ActorExit(ExitCode.USR_ILLEGAL_STATE, message=f"bytecode: {error}") from None

    def code_hash(self, address: EthAddress) -> bytes:
        found = self.find(address)
        match found.kind:
            case AccountKind.NOTHING:
                return NOTHING_HASH
            case AccountKind.NATIVE:
                return NATIVE_CODE_HASH
            case AccountKind.CONTRACT | AccountKind.DELEGATED if found.address is not None:
                try:
                    return read_byte_string(self._call(found.address, GET_BYTECODE_HASH))
                except ParamsError as error:
                    raise ActorExit(ExitCode.USR_SERIALIZATION, message=f"invalid code hash: {error}") from None
            case _:
                return EMPTY_CODE_HASH

    def bytecode_cid(self, contract: Address) -> Cid | None:
        """Return the code CID of another contract and make it reachable; None if the contract is dead."""
        try:
            answer = decode(self._call(contract, GET_BYTECODE))
            return None if answer is None else unlink(answer)
        except CodecError as error:
            raise ActorExit(ExitCode.USR_SERIALIZATION, message=f"invalid bytecode: {error}") from None

    def _call(self, contract: Address, method: MethodNumber) -> bytes:
        try:
            result = self._contract.send(contract, method, read_only=True)
        except SyscallError as error:
            raise ActorExit(ExitCode.USR_UNSPECIFIED, message=f"call of {contract} failed: {error}") from None
        if result.exit_code != ExitCode.OK:
            raise ActorExit(_mapped_exit_code(result.exit_code), message=f"{contract} rejected method {method}")
        return self._syscalls.read(result.block_id, result.size)


def _mapped_exit_code(exit_code: int) -> int:
    """Map another actor's exit code to the frame's own, which must not be one of the system's."""
    if exit_code in (ExitCode.SYS_ILLEGAL_INSTRUCTION, ExitCode.SYS_ILLEGAL_EXIT_CODE, ExitCode.SYS_MISSING_RETURN):
        return ExitCode.USR_UNSPECIFIED
    return exit_code if exit_code >= FIRST_USER_EXIT_CODE else ExitCode.USR_ASSERTION_FAILED


_BLOCK_HASHES: Final = 256
_PREVRANDAO_TAG: Final = 10


class FilecoinHost:
    """The environment of one frame under Filecoin's rules; see `runtimes.evm.contracts.engine.Host`.

    `caller` and `value` are the frame's: a delegate call passes them on.
    """

    def __init__(
        self, syscalls: Syscalls, contract: EvmContract, rules: EvmRules, caller: EthAddress, value: int
    ) -> None:
        self.syscalls = syscalls
        self.contract = contract
        self.rules = rules
        self.caller = caller
        self.value = value
        self.gas = syscalls.gas
        self.message = syscalls.kernel.calls.identity
        self.inspector = AccountInspector(syscalls, contract, rules)
        self._memory = 0
        self._tx_context: TxContext | None = None
        self._tx_context_of = syscalls.kernel.machine.context
        self._prev_randao: bytes | None = None

    @property
    def steps(self) -> Tracer | None:
        return with_steps(self.syscalls.kernel.tracer)

    def get_refund(self) -> int:
        """Return 0: Filecoin has no refunds."""
        return 0

    # --- state ------------------------------------------------------------------------------------------------

    def get_storage(self, key: int) -> int:
        return self.contract.storage.get(key)

    def set_storage(self, key: int, value: int) -> None:
        before = self.contract.set_storage(key, value)
        tracer = self.syscalls.kernel.tracer
        if tracer is not None and before != value:
            tracer.event(SlotWritten(key, before, value))

    def get_transient_storage(self, key: int) -> int:
        return self.contract.transient.get(key)

    def set_transient_storage(self, key: int, value: int) -> None:
        self.contract.set_transient(key, value)

    # --- accounts ---------------------------------------------------------------------------------------------

    def get_balance(self, address: EthAddress) -> int:
        actor = self.syscalls.resolve(to_filecoin(address))
        return 0 if actor is None else self.syscalls.balance_of(actor)

    def get_self_balance(self) -> int:
        """Return the contract's own balance."""
        return self.syscalls.current_balance()

    def get_code_size(self, address: EthAddress) -> int:
        return self.inspector.code_size(address)

    def get_code_hash(self, address: EthAddress) -> bytes:
        return self.inspector.code_hash(address)

    def copy_code(self, address: EthAddress) -> bytes:
        return self.inspector.code(address)

    # --- message and chain ------------------------------------------------------------------------------------

    def get_tx_context(self) -> TxContext:
        """Return the constants of block and message."""
        kernel = self.syscalls.kernel
        now = kernel.machine.context
        if self._tx_context is None or now is not self._tx_context_of:
            self._tx_context_of = now
            self._tx_context = TxContext(
                gas_price=now.base_fee + kernel.context.gas_premium,
                coinbase=ZERO_ADDRESS,
                number=now.epoch,
                timestamp=now.timestamp,
                gas_limit=self.rules.block_gas_limit,
                chain_id=now.chain_id,
                base_fee=now.base_fee,
            )
        return self._tx_context

    def get_origin(self) -> EthAddress:
        """Return the message's sender."""
        return self.syscalls.eth_address(self.syscalls.kernel.context.origin)

    def get_prev_randao(self) -> bytes:
        """Return the epoch's randomness, the same throughout a frame."""
        if self._prev_randao is None:
            self._prev_randao = self.syscalls.drawn_beacon(_PREVRANDAO_TAG, b"prevrandao")
        return self._prev_randao

    def get_gas_left(self) -> int:
        """Return the remaining gas in the machine's unit."""
        return self.syscalls.gas_left()

    def get_block_hash(self, number: int) -> bytes:
        """Return the first 32 bytes of the digest of a recent tipset's CID, zeros for any other epoch."""
        epoch = self.syscalls.kernel.machine.context.epoch
        if not max(epoch - _BLOCK_HASHES, 0) <= number < epoch:
            return bytes(32)
        return split_cid(self.syscalls.tipset_cid(number)).digest[:32].ljust(32, b"\0")

    def keccak256(self, data: bytes) -> bytes:
        """Return a hash, at the price of a syscall."""
        return self.syscalls.keccak(data)

    # --- effects ----------------------------------------------------------------------------------------------

    def emit_log(self, topics: Sequence[bytes], data: bytes) -> None:
        """Emit a log as an event; exit 24 if it exceeds the event limits."""
        self.hold(len(data), copies=2)
        try:
            self.syscalls.emit(log_to_entries(Log(tuple(topics), data)))
        except SyscallError as error:
            raise ActorExit(ExitCode.USR_ASSERTION_FAILED, message=f"log rejected: {error}") from None

    def selfdestruct(self, beneficiary: EthAddress) -> None:
        """Send the whole balance by a plain transfer, without writing state first, and mark the contract."""
        lent = None if self.syscalls.kernel.calls.lent_code is None else self._lent_code()
        if lent is not None and not lent.selfdestruct_pays:
            return
        balance = self.syscalls.current_balance()
        try:
            result = self.syscalls.send(to_filecoin(beneficiary), METHOD_SEND, value=balance)
            failure = "" if result.exit_code == ExitCode.OK else f"exit {result.exit_code}"
        except SyscallError as error:
            failure = str(error)
        if failure:
            raise ActorExit(ExitCode.EVM_CONTRACT_SELFDESTRUCT_FAILED, message=f"balance transfer failed: {failure}")
        if lent is None:
            self.contract.destroy()

    def _lent_code(self) -> LentCode | None:
        """Return the rules for SELFDESTRUCT if the frame runs in an account's context, None in a contract's."""
        kernel = self.syscalls.kernel
        lent = kernel.calls.lent_code
        if lent is not None and lent.account_frame is not None and lent.account_frame[0] == kernel.calls.depth:
            return lent
        actor = kernel.calls.tree.get_actor(kernel.context.receiver)
        is_account = actor is not None and actor.code == kernel.machine.manifest.code("ethaccount")
        return lent if is_account else None

    def grow_memory(self, size: int) -> int:
        """Charge for memory by the page; a frame that is too large ends as on the network.

        Exit 4 is the official module's failed allocation, 24 its panic at a size of 2 GiB and more.
        """
        rules, have = self.rules, self._memory
        wanted = -(-size // rules.memory_page) * rules.memory_page
        if wanted >= TWO_GIB:
            raise ActorExit(ExitCode.USR_ASSERTION_FAILED, message=f"memory of {size} bytes: capacity overflow")
        growth = max(wanted, rules.free_memory) - max(have, rules.free_memory)
        if wanted > rules.max_frame_memory or not self.syscalls.kernel.memory.grow(have, wanted):
            charge_memory(self.syscalls, growth * rules.memory_growth_price)  # as the instance does before it fails
            raise ActorExit(ExitCode.SYS_ILLEGAL_INSTRUCTION, message=f"memory of {size} bytes cannot be allocated")
        price = (wanted - have) * rules.memory_fill_price + growth * rules.memory_growth_price
        charge_memory(self.syscalls, price)
        self._memory = wanted
        return wanted

    def hold(self, size: int, copies: int, failure: ExitCode = ExitCode.SYS_ILLEGAL_INSTRUCTION) -> None:
        """Charge for `copies` copies of data in addition to the frame's memory, as the official module makes them."""
        hold(self.syscalls, self.rules, size, copies, frame_memory=self._memory, failure=failure)
