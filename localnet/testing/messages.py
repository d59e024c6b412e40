"""Tests of native actors: messages from any sender, and expected failures.

    vm = MessageTester(network)
    owner, other = vm.accounts(2)
    jar = vm.create(code, {"owner": owner})
    applied = vm.apply(owner, jar, "Withdraw", {"amount": 5})
    assert applied.exit_code == 0
    applied.check(ExpectedMessage(jar, "Withdraw", calls=[ExpectedMessage(owner, 0, value=5)]))

A failure is returned, with its exit code and message, instead of raised. A test expects reverts by their reason, other
failures by their exit code. Senders need no key and pay no gas. Messages change the head's state without a block, so
tests of single actors are fast. Use `Network` to send messages in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bridge.abi.abi import ContractInterface
from bridge.actors.interfaces import UNKNOWN_INTERFACE, Interface
from bridge.ethereum.reverts import error_text, revert_reason
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode, exit_name, numbered_exit
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.tracing import CallNode, CallTrees
from hypervisor.types import ATTO_PER_FIL, ActorID, TokenAmount, whole_number
from localnet.addresses import Target, filecoin_address
from localnet.contracts.native_actor import NativeActor, existing_actor, interface_of_actor
from localnet.errors import CallFailed, TransactionFailed
from localnet.network import Network
from store.cid import Cid

if TYPE_CHECKING:
    from localnet.contracts.contract import Contract
    from localnet.contracts.typed_contract import TypedContract


@contextmanager
def reverts(reason: str | None = None, contract: Contract | TypedContract | None = None) -> Iterator[None]:
    """Expect a revert inside the context; with `reason`, this reason.

    `reason` is the text of `require` or `revert`, or a custom error of `contract`: its name, optionally with arguments,
    as in `Unauthorized(0x...)`. Raises AssertionError if nothing fails, or for another reason.
    """
    try:
        yield
    except (CallFailed, TransactionFailed) as error:
        if error.exit_code != ExitCode.EVM_CONTRACT_REVERTED:
            raise AssertionError(f"expected a revert, but {error}") from error
        found = _reason(error.data, None if contract is None else contract.interface)
        if reason is not None and reason not in (found, found.partition("(")[0]):
            raise AssertionError(f"expected a revert with '{reason}', but the reason is '{found}'") from error
        return
    wanted = "a revert" if reason is None else f"a revert with '{reason}'"
    raise AssertionError(f"expected {wanted}, but nothing failed")


@contextmanager
def exits(code: int) -> Iterator[None]:
    """Expect this exit code inside the context. Raises AssertionError otherwise."""
    try:
        yield
    except (CallFailed, TransactionFailed) as error:
        if error.exit_code != code:
            raise AssertionError(f"expected {_exit_number(code)}, but {error}") from error
        return
    raise AssertionError(f"expected {_exit_number(code)}, but nothing failed")


def _reason(data: bytes, interface: ContractInterface | None) -> str:
    text = error_text(data)
    if text is not None:
        return text
    return revert_reason(data) if interface is None else interface.decode_revert(data)


def _exit_number(code: int) -> str:
    name = exit_name(code)
    return f"exit code {code}" if name == str(code) else f"exit code {code} ({name})"


FUNDS: Final = TokenAmount(10_000 * ATTO_PER_FIL)
_SEED: Final = b"message tester".ljust(57, b"\0")

Party = Address | NativeActor | Target


@dataclass(frozen=True, slots=True)
class ExpectedMessage:
    """An expected call of a message; omitted fields match anything.

    `calls` are all of its own calls in order. `method` is a name of the callee's interface, or a number; `value` is in
    attoFIL; `params` as the interface takes them.
    """

    to: Party
    method: str | int
    exit_code: int = ExitCode.OK
    from_: Party | None = None
    value: int | None = None
    params: Any = None
    answer: Any = None
    calls: Sequence[ExpectedMessage] | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """Result of a message: exit code, typed return value (None on failure), error message, gas, calls."""

    exit_code: int
    answer: Any
    message: str
    gas_used: int
    returned: bytes
    call: CallNode | None
    _tester: MessageTester = field(repr=False)

    def check(self, expected: ExpectedMessage) -> None:
        """Raise AssertionError with the path of the call if the message did not make the expected calls."""
        if self.call is None:
            raise AssertionError(f"the message made no call: exit code {numbered_exit(self.exit_code)} {self.message}")
        self._tester.check(self.call, expected, "the message")


class MessageTester:
    """Applies messages on a network's machine, one by one."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._machine: Hypervisor = network.machine
        self._made = 0

    def accounts(self, count: int, balance: TokenAmount = FUNDS) -> list[Address]:
        """Create accounts and return their ID addresses, each with `balance` newly minted attoFIL."""
        made = []
        for _ in range(whole_number(count, "a number of accounts", 1, 1000)):
            self._made += 1
            key = Address.secp256k1(_SEED + self._made.to_bytes(8, "big"))
            self._network.set_balance(key, balance)
            made.append(self._id(key))
        return made

    def create(self, code: Cid, params: Any = None, *, value: int = 0, cbor: bytes | None = None) -> NativeActor:
        """Create an actor with installed code (`Network.actors.install`). Raises as `NativeActors.create`."""
        return self._network.actors.create(code, _plain(params), value=value, cbor=cbor)

    def apply(
        self,
        sender: Party,
        to: Party,
        method: str | int,
        params: Any = None,
        *,
        value: int = 0,
        cbor: bytes | None = None,
    ) -> Applied:
        """Apply a message, and commit its changes if it exits with 0; value in attoFIL.

        Raises InvalidInput for parameters that do not match the interface, and for an unknown sender.
        """
        from_, target = self._id(sender), self._address(to)
        interface = self._interface(to)
        number, data = interface.message(method, _plain(params), cbor)
        whole_number(value, "a value", 0, unit=self._network.rules.unit)
        limit = self._network.rules.limits.call_gas
        message = Message(target, from_, 0, TokenAmount(value), number, data, gas_limit=limit)
        trees = CallTrees()
        with self._machine.traced(trees):
            result = self._machine.apply_implicit(message)
        if result.fatal is not None:
            raise result.fatal
        self._network.chain.keep_changes()
        receipt = result.receipt
        name = interface.method_name(method)
        answer: Any = None
        if not result.exit_code:
            answer = interface.decode_return(name, receipt.return_data) if name else receipt.return_data
        call = trees.roots[-1] if trees.roots else None
        return Applied(result.exit_code, answer, result.message, int(result.gas_used), receipt.return_data, call, self)

    def state(self, actor: Party) -> Any:
        """Return an actor's state by the type `State` of its schema. Raises InvalidInput."""
        return NativeActor(self._network, self._address(actor), self._interface(actor)).state

    def balance(self, of: Party) -> int:
        """Return the balance of an address in attoFIL."""
        return self._machine.balance(self._address(of))

    def total_balance(self) -> int:
        """Return the attoFIL of all actors, which no message changes."""
        return sum(state.balance for _, state in self._machine.state_tree.actors())

    # --- expected calls ---------------------------------------------------------------------------------------

    def check(self, call: CallNode, expected: ExpectedMessage, path: str) -> None:
        """Raise AssertionError if a call or one of its subcalls is not the expected one."""
        waiting = [(call, expected, path)]
        while waiting:  # iterative, since calls are up to 1,024 deep
            found, wanted, where = waiting.pop()
            self._check_one(found, wanted, where)
            if wanted.calls is None:
                continue
            if len(found.calls) != len(wanted.calls):
                made = ", ".join(f"{below.start.to} method {below.start.method}" for below in found.calls) or "none"
                raise AssertionError(f"{where} makes {len(found.calls)} calls ({made}), expected {len(wanted.calls)}")
            pairs = zip(found.calls, wanted.calls, strict=True)
            waiting += [(*pair, f"{where}, call {index}") for index, pair in enumerate(pairs)]

    def _check_one(self, call: CallNode, expected: ExpectedMessage, where: str) -> None:
        interface = self._interface(expected.to)
        number = interface.message(expected.method, cbor=b"")[0]
        self._same(where, "goes to", self._number(call.start.to), self._number(self._address(expected.to)))
        self._same(where, "calls method", call.start.method, number)
        if expected.from_ is not None:
            self._same(where, "comes from", call.start.from_, self._number(self._address(expected.from_)))
        if expected.value is not None:
            self._same(where, "has the value", call.start.value, expected.value)
        if expected.params is not None:
            wanted = interface.message(expected.method, _plain(expected.params))[1]
            self._same(where, "has the parameters", call.start.params.hex(), wanted.hex())
        ended = call.end
        code = ExitCode.SYS_ASSERTION_FAILED if ended is None else ended.exit_code
        text = "" if ended is None else ended.message
        self._same(where, "exits with", int(code), int(expected.exit_code), f" {text}" if text else "")
        if expected.answer is not None and ended is not None:
            name = interface.method_name(expected.method)
            found = interface.decode_return(name, ended.return_data) if name else ended.return_data
            self._same(where, "answers", found, _plain(expected.answer))

    def _same(self, where: str, what: str, found: Any, wanted: Any, more: str = "") -> None:
        if found != wanted:
            raise AssertionError(f"{where} {what} {found!r:.200}{more}, expected {wanted!r:.200}")

    # --- addresses --------------------------------------------------------------------------------------------

    def _address(self, party: Party) -> Address:
        if isinstance(party, NativeActor):
            return party.address
        return party if isinstance(party, Address) else filecoin_address(party)

    def _number(self, address: Address) -> ActorID | str:
        found = self._machine.state_tree.lookup_id(address)
        return str(address) if found is None else found

    def _id(self, party: Party) -> Address:
        address = self._address(party)
        found = self._machine.state_tree.lookup_id(address)
        if found is None:
            raise InvalidInput(f"there is no actor {address}: create one with `accounts`")
        return Address.id(found)

    def _interface(self, party: Party) -> Interface:
        if isinstance(party, NativeActor):
            return party.interface
        address = self._address(party)
        if self._machine.actor(address) is None:
            return UNKNOWN_INTERFACE
        return interface_of_actor(self._machine, existing_actor(self._machine, address)) or UNKNOWN_INTERFACE


def _plain(params: Any) -> Any:
    """Replace actors in parameters by their addresses."""
    match params:
        case NativeActor():
            return params.address
        case dict():
            return {name: _plain(value) for name, value in params.items()}
        case list() | tuple():
            return [_plain(value) for value in params]
        case _:
            return params
