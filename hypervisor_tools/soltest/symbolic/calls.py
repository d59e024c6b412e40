"""The opcodes that begin or end a frame: calls, creations and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import z3

from bridge.ethereum.addresses import EthAddress, create2_address, create_address
from hypervisor_tools.soltest.cheatcodes.failures import unwrap_error
from hypervisor_tools.soltest.cheatcodes.wording import CAUGHT, failed
from hypervisor_tools.soltest.symbolic.cheats import run_cheatcode, run_svm
from hypervisor_tools.soltest.symbolic.opcodes import (
    Handler,
    account_number,
    is_all_gas,
    is_special,
    memory,
    place,
    push,
    special_name,
)
from hypervisor_tools.soltest.symbolic.path import (
    CHEATCODE_ADDRESSES,
    FIRST_SYMBOLIC,
    Account,
    ActorCall,
    Code,
    Dead,
    Frame,
    Halt,
    Path,
    Prank,
    Storage,
    copied,
)
from hypervisor_tools.soltest.symbolic.words import (
    BITS,
    MASK,
    Byte,
    Data,
    NotModelled,
    Word,
    add,
    below,
    bytes_of_word,
    concrete,
    equal,
    is_same,
    negation,
    subtract,
    truth,
    word_at,
)
from runtimes.evm.revm import Failure, FailureReason

MAX_DEPTH: Final = 64
"""Maximum depth of calls."""
_ECRECOVER: Final = 1
_IDENTITY: Final = 4
_ANY_RESULT: Final = {_ECRECOVER: 160, 2: 256, 3: 160}
"""Bits of the results of ECRECOVER, SHA-256 and RIPEMD-160, which may have any value for symbolic input."""
_MAX_CODE: Final = 24_576
"""Size of code that the strictest rules allow; larger code is not modelled."""
_DELEGATION: Final = (0xEF, 0x01, 0x00)
_VM, _, _CONSOLE = CHEATCODE_ADDRESSES

Result = Callable[[Path, bool, Data], None]


def finish(path: Path, success: bool, output: Data) -> None:
    """End the running frame; a failure restores the state before it."""
    frame = path.frames.pop()
    if not success:
        path.accounts, path.actor_calls = copied(frame.saved), frame.saved_calls
    if any(depth > len(path.frames) for depth in path.pranks) and path.frames:
        raise NotModelled("a prank that outlives its call")
    if path.expected is not None and path.expected[0] > len(path.frames) > 0:
        raise NotModelled("an expected revert that outlives its call")
    frame.result(path, success, output)


def _unmet(kind: int, *texts: bytes | None) -> Data:
    """Return the revert data of an unmet expectation."""
    return list(failed(FailureReason(kind, [], [], list(texts), []), lambda _: None, lambda _: None).output)


def _check_reason(wanted: bytes, data: bytes) -> Data | None:
    """Return revert data if a call did not revert with the expected reason."""
    if not data and wanted:
        return _unmet(Failure.NO_REASON)
    actual = unwrap_error(data)
    return None if actual in (wanted, unwrap_error(wanted)) else _unmet(Failure.REASON, actual, wanted)


def _expecting(path: Path, usual: Result, kind: str) -> Result:
    """Return the result of a call that may be expected to revert."""
    if path.expected is None or path.expected[0] != len(path.frames):
        return usual
    reason = path.expected[1]

    def result(path: Path, success: bool, output: Data) -> None:
        if success:
            usual(path, False, _unmet(Failure.NO_REVERT))
            return
        if reason is not None:
            wanted, found = concrete(reason), concrete(output)
            if wanted is None or found is None:
                raise NotModelled("an expected revert with symbolic data")
            unmet = _check_reason(wanted, found)
            if unmet is not None:
                usual(path, False, unmet)
                return
        if kind.startswith("CREATE"):
            path.frame.returned = ()
            push(path, int.from_bytes(CAUGHT.created or b"", "big"))
        else:
            usual(path, True, list(CAUGHT.output))

    return result


def _result_of_call(at: int, size: int) -> Result:
    def result(path: Path, success: bool, output: Data) -> None:
        frame, length = path.frame, min(size, len(output))
        frame.memory[at : at + length] = output[:length]
        frame.returned = output
        push(path, int(success))

    return result


def _call(kind: str) -> Handler:
    def call(path: Path, gas: Word, to: Word, *rest: Word) -> None:
        value = rest[0] if kind == "CALL" else 0
        data = memory(path, rest[-4], rest[-3], f"input of {kind}")
        result = _expecting(path, _result_of_call(*place(path, rest[-2], rest[-1], f"output of {kind}")), kind)
        address = account_number(path, to)
        has_value = path.decide(truth(value))
        if has_value and path.frame.static:
            raise Halt("a static call transfers value")
        if has_value and address == _CONSOLE:
            raise NotModelled("value sent to the console")
        if address in CHEATCODE_ADDRESSES:
            _call_tool(path, kind, address, data, _result_of_call(*place(path, rest[-2], rest[-1], "output")))
        else:
            _call_account(path, kind, address, value if has_value else None, data, result, is_all_gas(gas))

    return call


def _call_tool(path: Path, kind: str, address: int, data: list[Byte], result: Result) -> None:
    """Call the cheatcodes or the console."""
    if kind == "DELEGATECALL":
        raise NotModelled("DELEGATECALL of cheatcodes")
    if address == _CONSOLE:
        result(path, True, ())
        return
    success, output = (run_cheatcode if address == _VM else run_svm)(path, data)
    result(path, success, output)


def _call_account(
    path: Path, kind: str, address: int, value: Word | None, data: list[Byte], result: Result, has_all_gas: bool
) -> None:
    """Call a contract, an account without code or a precompile; `value` is None without a transfer."""
    frame = path.frame
    prank = path.pranks.get(len(path.frames))
    if prank is not None and kind == "DELEGATECALL":
        raise NotModelled("DELEGATECALL during a prank")
    sender = frame.address if prank is None else prank.sender
    if value is not None:
        payer = account_number(path, sender)
        if not _can_pay(path, payer, address, value):
            if path.expected is not None:
                raise NotModelled("an expected revert of a call that cannot be paid")
            _use(path, prank)
            result(path, False, ())
            return
    if is_special(address):
        if path.expected is not None:
            raise NotModelled(f"an expected revert of {special_name(address)}")
        _call_precompile(path, kind, address, value, data, result, has_all_gas)
        return
    account = path.account(address)
    if path.expected is not None and path.expected[0] == len(path.frames):
        if not account.code.data:
            raise NotModelled("an expected revert of a call without code")
        path.expected = None
    if account.code.data[:3] == _DELEGATION:
        raise NotModelled(f"a call of the delegated account {address:#042x}")
    if account.code.data and not has_all_gas:
        raise NotModelled(f"{kind} with a gas limit")
    if len(path.frames) > MAX_DEPTH:
        raise NotModelled(f"calls deeper than {MAX_DEPTH}")
    saved = copied(path.accounts)
    _use(path, prank)
    if value is not None:
        _transfer(path, payer, address, value)
    if not account.code.data:
        result(path, True, ())
        return
    is_delegate = kind == "DELEGATECALL"
    path.frames.append(Frame(
        account.code, frame.address if is_delegate else address, frame.caller if is_delegate else sender,
        frame.value if is_delegate else 0 if value is None else value, data, frame.static or kind == "STATICCALL",
        result, saved,
        frame.origin if prank is None or prank.origin is None else prank.origin, path.actor_calls,
    ))  # fmt: skip


def _call_precompile(
    path: Path, kind: str, address: int, value: Word | None, data: list[Byte], result: Result, has_all_gas: bool
) -> None:
    """Run a precompile or actor on concrete input. Raises NotModelled for everything else."""
    if path.account(address).code.data:
        raise NotModelled(f"{kind} of code at {special_name(address)}")
    if address > 0x1FF and has_all_gas:
        _call_actor(path, kind, address, 0 if value is None else value, data, result)
        return
    if value is not None or not has_all_gas:
        raise NotModelled(f"{kind} of {special_name(address)} with {'value' if has_all_gas else 'a gas limit'}")
    if address == _IDENTITY:
        _use(path, path.pranks.get(len(path.frames)))
        result(path, True, data)
        return
    numbers = concrete(data)
    if numbers is None and address in _ANY_RESULT:
        output: Data = _any_result(path, address, data)
        _use(path, path.pranks.get(len(path.frames)))
        result(path, True, output)
        return
    if numbers is None:
        raise NotModelled(f"{kind} of {special_name(address)} with symbolic input")
    success, output = path.start.run_precompile(address, numbers)
    _use(path, path.pranks.get(len(path.frames)))
    result(path, success, output)


def _call_actor(path: Path, kind: str, address: int, value: Word, data: list[Byte], result: Result) -> None:
    """Run a call of one of Filecoin's precompiles or actors on the concrete machine, after the path's earlier ones."""
    frame, start = path.frame, path.start
    words = (concrete(data), value, path.account(frame.address).balance, frame.origin)
    created = (
        number for number, one in path.accounts.items()
        if number not in start.addresses and not is_special(number) and number not in CHEATCODE_ADDRESSES
        and (one.code.data or one.nonce or not is_same(one.balance, 0))
    )  # fmt: skip
    reasons = {
        "with symbolic input, value, balance or origin": not all(isinstance(word, int | bytes) for word in words),
        "during a prank": len(path.frames) in path.pranks,
        "after a change of the block": path.block != start.block(),
        "after an account was created": any(created),
    }
    for reason in (reason for reason, holds in reasons.items() if holds):
        raise NotModelled(f"{kind} of {special_name(address)} {reason}")
    numbers, _, balance, origin = words
    call = ActorCall(kind, origin, frame.address, balance, address, value, numbers or b"", frame.static)
    calls = (*path.actor_calls, call)
    success, output, changes = start.run_actor(calls)
    path.actor_calls = path.actor_calls if frame.static else calls
    for number, change in changes.items():
        path.account(number).balance = add(path.account(number).balance, change % (MASK + 1))
    result(path, success, list(output))


def _any_result(path: Path, address: int, data: list[Byte]) -> Data:
    """Return any result that a precompile may have, the same one for the same input. Raises Fork.

    A proof then holds for every function, and a counterexample counts only if the concrete run fails, too.
    """
    words = tuple(word_at(data, at) for at in range(0, len(data), 32))
    for known, size, asked, answer in path.precompiled:
        if known == address and size == len(data) and all(map(is_same, asked, words)):
            return answer
    # the name depends only on the path, because the instruction is repeated after a decision
    found = z3.BitVec(f"precompile!{len(path.precompiled)}", _ANY_RESULT[address])
    word = z3.simplify(z3.ZeroExt(BITS - found.size(), found)) if found.size() < BITS else found
    is_empty = address == _ECRECOVER and path.decide(equal(word, 0))
    answer = () if is_empty else bytes_of_word(word)
    path.precompiled = (*path.precompiled, (address, len(data), words, answer))
    return answer


def _use(path: Path, prank: Prank | None) -> None:
    if prank is not None and prank.once:
        del path.pranks[len(path.frames)]


def _can_pay(path: Path, payer: int, to: int, value: Word) -> bool:
    if path.decide(below(path.account(payer).balance, value)):
        return False
    if payer == to:
        return True
    balance = path.account(to).balance
    try:
        path.assume(negation(below(add(balance, value), balance)))  # all Ether is less than 2^256 attoFIL (wei)
    except Dead:
        raise NotModelled("a transfer that raises a balance to 2^256 or more") from None
    return True


def _transfer(path: Path, payer: int, to: int, value: Word) -> None:
    if payer != to:
        path.account(payer).balance = subtract(path.account(payer).balance, value)
        path.account(to).balance = add(path.account(to).balance, value)


# --- creations ------------------------------------------------------------------------------------------------------


def _result_of_creation(address: int) -> Result:
    def result(path: Path, success: bool, output: Data) -> None:
        path.frame.returned = () if success else output
        push(path, address if success else 0)

    return result


def _create(path: Path, value: Word, at: Word, size: Word, *salts: Word) -> None:
    frame, kind = path.frame, "CREATE2" if salts else "CREATE"
    if frame.static:
        raise Halt("a static call creates a contract")
    code = memory(path, at, size, f"code of {kind}")
    prank = path.pranks.get(len(path.frames))
    creator = frame.address if prank is None else account_number(path, prank.sender)
    if creator >= FIRST_SYMBOLIC:
        raise NotModelled(f"{kind} by a symbolic address")
    sender, nonce = EthAddress(creator.to_bytes(20, "big")), path.account(creator).nonce
    if salts:
        init_code, salt = concrete(code), path.number(salts[0], "salt of CREATE2")
        if init_code is None:
            raise NotModelled("CREATE2 of code with symbolic bytes")
        made = create2_address(sender, salt.to_bytes(32, "big"), init_code)
    else:
        made = create_address(sender, nonce)
    address = int.from_bytes(made, "big")
    path.merge_symbolic_account(address)
    has_value = path.decide(truth(value))
    if has_value and not _can_pay(path, creator, address, value):
        if path.expected is not None:
            raise NotModelled("an expected revert of a creation that cannot be paid")
        _use(path, prank)
        frame.returned = ()
        push(path, 0)
        return
    before = path.account(address)
    if before.code.data or before.nonce:
        raise NotModelled(f"{kind} at the address {address:#042x}, which is in use")
    if len(code) > 2 * _MAX_CODE or len(path.frames) > MAX_DEPTH:
        raise NotModelled(f"{kind} of {len(code)} bytes at depth {len(path.frames)}")
    result = _expecting(path, _result_of_creation(address), kind)
    if path.expected is not None and path.expected[0] == len(path.frames):
        path.expected = None
    _use(path, prank)
    path.account(creator).nonce = nonce + 1
    saved = copied(path.accounts)
    path.accounts[address] = Account(Code(()), Storage(), before.balance, 1)
    if has_value:
        _transfer(path, creator, address, value)
    path.frames.append(Frame(
        Code(code), address, creator, value if has_value else 0, (), False, result, saved,
        frame.origin if prank is None or prank.origin is None else prank.origin, path.actor_calls, is_creation=True,
    ))  # fmt: skip


# --- ends -----------------------------------------------------------------------------------------------------------


def _stop(path: Path) -> None:
    _succeed(path, ())


def _return(path: Path, at: Word, size: Word) -> None:
    _succeed(path, memory(path, at, size, "RETURN"))


def _succeed(path: Path, output: Data) -> None:
    frame = path.frame
    if frame.is_creation:
        if len(output) > _MAX_CODE or (output and (not isinstance(output[0], int) or output[0] == 0xEF)):
            raise NotModelled(f"creation of {len(output)} bytes of code that is too long or reserved")
        path.account(frame.address).code = Code(output)
    finish(path, True, output)


def _revert(path: Path, at: Word, size: Word) -> None:
    finish(path, False, memory(path, at, size, "REVERT"))


def _refuse(path: Path, *_: Word) -> None:
    raise NotModelled("the opcode CALLCODE")


CALL_HANDLERS: Final[dict[int, tuple[int, Handler]]] = {
    0x00: (0, _stop),
    0xF0: (3, _create),
    0xF1: (7, _call("CALL")),
    0xF2: (7, _refuse),
    0xF3: (2, _return),
    0xF4: (6, _call("DELEGATECALL")),
    0xF5: (4, _create),
    0xFA: (6, _call("STATICCALL")),
    0xFD: (2, _revert),
}
"""Number of operands and handler by opcode."""
