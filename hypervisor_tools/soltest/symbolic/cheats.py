"""Cheatcodes on symbolic values: forge's (`vm`), and those of halmos that create symbolic values (`svm`).

A cheatcode without an entry here ends its path as not decided, by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import z3

from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, failure_data
from hypervisor_tools.soltest.cheatcodes.signing import account_of
from hypervisor_tools.soltest.cheatcodes.state import FAILED_SLOT
from hypervisor_tools.soltest.cheatcodes.table import selector, table
from hypervisor_tools.soltest.symbolic.inputs import any_bytes, create_calldata, fixed_bytes, number_of
from hypervisor_tools.soltest.symbolic.opcodes import account_number, is_special
from hypervisor_tools.soltest.symbolic.path import (
    CHEATCODE_ADDRESSES,
    FIRST_SYMBOLIC,
    MAX_BYTES,
    Code,
    Path,
    Prank,
    fresh,
)
from hypervisor_tools.soltest.symbolic.words import (
    Byte,
    Condition,
    Data,
    NotModelled,
    below,
    bytes_of_word,
    choose,
    concrete,
    equal,
    joined,
    negation,
    operate,
    slice_of,
    subtract,
    truth,
    words_data,
)

_VM, SVM_ADDRESS, _ = CHEATCODE_ADDRESSES
Answer = tuple[bool, Data]
_Run = Callable[[Path, Data], Data]


def run_cheatcode(path: Path, data: list[Byte]) -> Answer:
    """Return success and output of a cheatcode. Raises NotModelled."""
    name = concrete(data[:4])
    if name is None:
        raise NotModelled("a cheatcode with a symbolic selector")
    if name in _ASSERTIONS:
        holds = _ASSERTIONS[name](path, data)
        return (True, ()) if path.decide(holds) else _fail(path, list(failure_data("assertion failed")))
    run = _CHEATCODES.get(name)
    if run is None:
        return _run_concretely(path, name, data)
    try:
        return True, run(path, data)
    except CheatcodeFailure as failure:
        return False, list(failure_data(failure.message))


def _fail(path: Path, output: Data) -> Answer:
    """Return success and output of a failed assertion, which only marks the test if assertions do not revert."""
    if path.start.assertions_revert:
        return False, output
    path.account(_VM).storage.write(FAILED_SLOT, 1)
    return True, ()


_PURE: Final = frozenset((
    "toString", "parseBytes", "parseAddress", "parseUint", "parseInt", "parseBytes32", "parseBool", "toLowercase",
    "toUppercase", "trim", "replace", "split", "indexOf", "contains", "toBase64", "toBase64URL", "toRlp", "fromRlp",
    "ensNamehash", "deriveKey", "sign", "signCompact", "signP256", "publicKeyP256", "createEd25519Key",
    "publicKeyEd25519", "signEd25519", "verifyEd25519", "computeCreateAddress", "computeCreate2Address",
    "keyExistsJson", "keyExistsToml", "foundryVersionCmp", "foundryVersionAtLeast", "getFoundryVersion",
))  # fmt: skip
_PURE_STARTS: Final = ("assert", "env", "parseJson", "parseToml")
_WALLETS: Final = ("sign(bytes32)", "sign(address,", "signCompact(bytes32)", "signCompact(address,")
"""Signatures with keys that the test has stored before."""


def _run_concretely(path: Path, name: bytes, data: Data) -> Answer:
    """Run a cheatcode on the concrete machine if its result depends on nothing but its concrete arguments."""
    known = table().get(name)
    if known is None:
        raise NotModelled(f"the unknown cheatcode {name.hex()}")
    is_pure = known.name in _PURE or known.name.startswith(_PURE_STARTS)
    if not is_pure or known.signature.startswith(_WALLETS):
        raise NotModelled(f"the cheatcode {known.signature}")
    numbers = concrete(data)
    if numbers is None:
        raise NotModelled(f"the cheatcode {known.signature} with symbolic arguments")
    success, output = path.start.run_cheatcode(numbers)
    return _fail(path, output) if not success and known.name.startswith("assert") else (success, output)


# --- assertions -----------------------------------------------------------------------------------------------------

_Assertion = Callable[[Path, Data], Condition]
_SIGNS: Final[dict[str, tuple[int, bool]]] = {
    "Gt": (0x11, True), "Ge": (0x10, False), "Lt": (0x10, True), "Le": (0x11, False),
}  # fmt: skip
"""Opcode of an unsigned comparison, and its result where the assertion holds."""


_EQ: Final = 0x14


def _compared(opcode: int, wanted: bool) -> _Assertion:
    def holds(path: Path, data: Data) -> Condition:
        words = path.argument(data, 0), path.argument(data, 1)
        found = path.hashes.same_word(*words) if opcode == _EQ else truth(operate(opcode, *words))
        return found if wanted else negation(found)

    return holds


def _bytes_equal(path: Path, data: Data) -> Condition:
    return _same_data(path.bytes_argument(data, 0), path.bytes_argument(data, 1))


def _same_data(left: list[Byte], right: list[Byte]) -> Condition:
    if len(left) != len(right):
        return False
    pairs = [(left[at : at + 32], right[at : at + 32]) for at in range(0, len(left), 32)]
    found = [equal(joined(one), joined(other)) for one, other in pairs]
    if any(one is False for one in found):
        return False
    return z3.And(*[one for one in found if one is not True]) if found else True


def _items_equal(path: Path, data: Data) -> Condition:
    return _same_data(path.bytes_argument(data, 0, 32), path.bytes_argument(data, 1, 32))


def _approximately(signed: bool) -> _Assertion:
    """Return the assertion that two numbers differ by at most a third one."""

    def holds(path: Path, data: Data) -> Condition:
        left, right, most = (path.argument(data, index) for index in range(3))
        is_less = truth(operate(0x12 if signed else 0x10, left, right))
        return negation(below(most, choose(is_less, subtract(right, left), subtract(left, right))))

    return holds


def _not(holds: _Assertion) -> _Assertion:
    return lambda path, data: negation(holds(path, data))


def _assertions() -> dict[bytes, _Assertion]:
    found: dict[str, _Assertion] = {
        "assertTrue(bool": lambda path, data: truth(path.argument(data, 0)),
        "assertFalse(bool": lambda path, data: negation(truth(path.argument(data, 0))),
    }
    for kind in ("bool", "uint256", "int256", "address", "bytes32"):
        found[f"assertEq({kind},{kind}"] = _compared(_EQ, True)
        found[f"assertNotEq({kind},{kind}"] = _compared(_EQ, False)
    for kind in ("bool", "uint256", "int256", "address", "bytes32"):
        found[f"assertEq({kind}[],{kind}[]"] = _items_equal
        found[f"assertNotEq({kind}[],{kind}[]"] = _not(_items_equal)
    for kind in ("uint256", "int256"):
        found[f"assertApproxEqAbs({kind},{kind},uint256"] = _approximately(kind == "int256")
    for kind in ("bytes", "string"):
        found[f"assertEq({kind},{kind}"] = _bytes_equal
        found[f"assertNotEq({kind},{kind}"] = _not(_bytes_equal)
    for name, (opcode, wanted) in _SIGNS.items():
        found[f"assert{name}(uint256,uint256"] = _compared(opcode, wanted)
        found[f"assert{name}(int256,int256"] = _compared(opcode + 2, wanted)
    return {selector(f"{start}{end}"): holds for start, holds in found.items() for end in (")", ",string)")}


_ASSERTIONS: Final = _assertions()


# --- arguments ------------------------------------------------------------------------------------------------------


def _address(path: Path, data: Data, name: str) -> int:
    address = account_number(path, path.argument(data, 0))
    if address >= FIRST_SYMBOLIC and name not in ("deal", "load"):
        raise NotModelled(f"{name} of a symbolic address")
    if is_special(address):
        raise NotModelled(f"{name} of the precompile or Filecoin address {address:#042x}")
    return address


# --- forge's cheatcodes ---------------------------------------------------------------------------------------------


def _assume(path: Path, data: Data) -> Data:
    path.assume(truth(path.argument(data, 0)))
    return ()


def _prank(once: bool, has_origin: bool = False) -> _Run:
    def prank(path: Path, data: Data) -> Data:
        depth = len(path.frames)
        if path.pranks:
            raise NotModelled("a prank during another one")
        path.pranks[depth] = Prank(path.argument(data, 0), path.argument(data, 1) if has_origin else None, once)
        return ()

    return prank


def _stop_prank(path: Path, _data: Data) -> Data:
    path.pranks.pop(len(path.frames), None)
    return ()


def _deal(path: Path, data: Data) -> Data:
    _at_top(path, "deal")
    path.account(_address(path, data, "deal")).balance = path.argument(data, 1)
    return ()


def _at_top(path: Path, name: str) -> None:
    if len(path.frames) > 1:
        raise NotModelled(f"the cheatcode {name} in a call of the test")


def _expect_revert(has_reason: bool, size: int | None = None) -> _Run:
    def expect(path: Path, data: Data) -> Data:
        reason = None
        if has_reason:
            reason = path.bytes_argument(data, 0) if size is None else slice_of(data, 4, size)
        if path.expected is not None:
            raise NotModelled("an expected revert during another one")
        path.expected = (len(path.frames), reason)
        return ()

    return expect


def _store(path: Path, data: Data) -> Data:
    address = _address(path, data, "store")
    key, word = path.argument(data, 1), path.argument(data, 2)
    if address == _VM and path.number(key, "slot of the cheatcodes") == FAILED_SLOT:
        path.has_failed = path.has_failed or path.decide(truth(word))
    path.account(address).storage.write(key, word)
    return ()


def _load(path: Path, data: Data) -> Data:
    account = path.account(_address(path, data, "load"))
    return bytes_of_word(account.storage.read(path.argument(data, 1), path.hashes.same))


def _etch(path: Path, data: Data) -> Data:
    _at_top(path, "etch")
    address, code = _address(path, data, "etch"), path.bytes_argument(data, 1)
    if address == _VM or (code and code[0] == 0xEF):
        raise NotModelled("the cheatcode etch of this address or code")
    path.account(address).code = Code(code)
    return ()


def _block(name: str) -> _Run:
    def change(path: Path, data: Data) -> Data:
        setattr(path.block, name, path.argument(data, 0))
        return ()

    return change


def _block_value(name: str) -> _Run:
    return lambda path, _data: bytes_of_word(getattr(path.block, name))


def _addr(path: Path, data: Data) -> Data:
    key = path.number(path.argument(data, 0), "private key")
    return bytes_of_word(int.from_bytes(account_of(key).address, "big"))


def _nothing(_path: Path, _data: Data) -> Data:
    return ()


_CHEATCODES: Final[dict[bytes, _Run]] = {
    selector(signature): run
    for signature, run in {
        "assume(bool)": _assume,
        "prank(address)": _prank(True),
        "prank(address,address)": _prank(True, True),
        "startPrank(address)": _prank(False),
        "startPrank(address,address)": _prank(False, True),
        "stopPrank()": _stop_prank,
        "expectRevert()": _expect_revert(False),
        "expectRevert(bytes)": _expect_revert(True),
        "expectRevert(bytes4)": _expect_revert(True, 4),
        "deal(address,uint256)": _deal,
        "store(address,bytes32,bytes32)": _store,
        "load(address,bytes32)": _load,
        "etch(address,bytes)": _etch,
        "warp(uint256)": _block("timestamp"),
        "roll(uint256)": _block("number"),
        "fee(uint256)": _block("base_fee"),
        "chainId(uint256)": _block("chain_id"),
        "coinbase(address)": _block("coinbase"),
        "prevrandao(uint256)": _block("randomness"),
        "prevrandao(bytes32)": _block("randomness"),
        "getBlockTimestamp()": _block_value("timestamp"),
        "getBlockNumber()": _block_value("number"),
        "addr(uint256)": _addr,
        "label(address,string)": _nothing,
    }.items()
}


# --- halmos' cheatcodes ---------------------------------------------------------------------------------------------


def run_svm(path: Path, data: list[Byte]) -> Answer:
    """Return success and output of one of halmos' cheatcodes. Raises NotModelled."""
    name = concrete(data[:4])
    run = None if name is None else _SYMBOLS.get(name)
    if run is None:
        raise NotModelled(f"the cheatcode of svm {'with a symbolic selector' if name is None else name.hex()}")
    output = run(path, data)
    asked = concrete(data)
    if asked is None:
        raise NotModelled("a cheatcode of svm with symbolic arguments")
    path.created = (*path.created, (asked, output))
    return True, output


def _number(bits: int, signed: bool = False) -> _Run:
    return lambda _path, _data: bytes_of_word(number_of(bits, signed))


def _bits(signed: bool) -> _Run:
    def create(path: Path, data: Data) -> Data:
        bits = path.number(path.argument(data, 0), "number of bits")
        if not 0 < bits <= 256:
            raise NotModelled(f"a symbolic number of {bits} bits")
        return bytes_of_word(number_of(bits, signed))

    return create


def _some_bytes(path: Path, data: Data) -> Data:
    size = path.number(path.argument(data, 0), "number of bytes")
    if size > MAX_BYTES:
        raise NotModelled(f"{size} symbolic bytes, more than {MAX_BYTES}")
    return [*words_data(32, size), *any_bytes(size), *[0] * (-size % 32)]


def _symbolic_storage(path: Path, data: Data) -> Data:
    address = _address(path, data, "enableSymbolicStorage")
    storage = path.account(address).storage
    storage.array = z3.Array(f"storage!{fresh('storage')}", z3.BitVecSort(256), z3.BitVecSort(256))
    storage.asked = []
    path.arrays = (*path.arrays, (address, storage.array, storage.asked))
    return ()


_SYMBOLS: Final[dict[bytes, _Run]] = {
    selector("createUint(uint256,string)"): _bits(False),
    selector("createInt(uint256,string)"): _bits(True),
    selector("createUint256(string)"): _number(256),
    selector("createInt256(string)"): _number(256),
    selector("createAddress(string)"): _number(160),
    selector("createBool(string)"): _number(1),
    selector("createBytes32(string)"): _number(256),
    selector("createBytes4(string)"): lambda _path, _data: bytes_of_word(fixed_bytes(4)),
    selector("createBytes(uint256,string)"): _some_bytes,
    selector("createString(uint256,string)"): _some_bytes,
    selector("enableSymbolicStorage(address)"): _symbolic_storage,
    **{
        selector(f"createCalldata({kinds}{flag})"): create_calldata(kinds, bool(flag))
        for kinds in ("address", "string", "string,string")
        for flag in ("", ",bool")
    },
}
