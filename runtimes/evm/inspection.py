"""Inspection of accounts by contracts: the kind of account at an address, and its code.

Rules (builtin-actors actors/evm instructions/ext.rs): a contract has its code, an account none, any other native actor
the single byte fe (so that checks for code succeed), a precompile none; without an actor the code hash is 0.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.delegations import delegation_of
from bridge.filecoin.cbor import ParamsError, read_byte_string
from hypervisor.bundles.manifest import ACCOUNT_TYPES, ACTOR_NAMES
from hypervisor.errors import ActorExit, SyscallError
from hypervisor.exit_codes import FIRST_USER_EXIT_CODE, ExitCode
from hypervisor.messages.address import Address
from hypervisor.types import MethodNumber
from runtimes.evm.code import EMPTY_CODE_HASH
from runtimes.evm.contract import EvmContract
from runtimes.evm.rules import EvmRules
from runtimes.evm.syscalls import Syscalls
from store.cid import Cid
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


class AccountInspector:
    """Inspects accounts for one frame."""

    def __init__(self, syscalls: Syscalls, contract: EvmContract, rules: EvmRules) -> None:
        self._syscalls = syscalls
        self._contract = contract
        self._rules = rules

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
        return InspectedAccount(AccountKind.CONTRACT if name == "evm" else AccountKind.NATIVE, Address.id(actor))

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
