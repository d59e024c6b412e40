"""Slots of a contract written before, below and after a native reentrant call: by a model, method 5 and the tree.

The model is a dictionary. If the native actor calls back and then fails, the writes below it are reverted.
"""

from typing import Final

from eth_abi.abi import encode as encode_abi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.parameters import INVOKE_EVM
from hypervisor import Address, Hypervisor, Message
from hypervisor.exit_codes import ExitCode
from hypervisor.types import SYSTEM_ACTOR, Gas, MethodNumber
from localnet.state.contract_state import storage_of
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc, read_alloc
from store.cid import CBOR, RAW
from store.codec import decode, encode
from tests.conftest import samples
from tests.crossing.puppet import Script
from tests.crossing.trees import CALL_ACTOR, PUPPETS, SENDER
from tests.crossing.twins import Stages
from tests.differential.twins import GAS_LIMIT
from tests.runtimes.evm.assembler import assemble

WRITER: Final = EthAddress(b"\xc0" * 20)
SEEN, KEPT = 7, 8
CODE: Final = f"""
    32 loop: 0 CALLDATALOAD 32 ADD DUP2 LT ISZERO @done JUMPI      ; as many bytes of pairs as the first word says
    DUP1 32 ADD CALLDATALOAD DUP2 CALLDATALOAD SSTORE 64 ADD @loop JUMP
    done: DUP1 CALLDATASIZE GT ISZERO @end JUMPI                   ; the rest is for the precompile
    DUP1 CALLDATASIZE SUB DUP2 0 CALLDATACOPY
    0 0 DUP3 CALLDATASIZE SUB 0 {CALL_ACTOR} GAS DELEGATECALL POP
    {SEEN} SLOAD 1 ADD {KEPT} SSTORE                               ; what was written below is seen
    end: STOP"""

Pairs = list[tuple[int, int]]
slots = st.one_of(st.sampled_from([0, 1, 2, SEEN, SEEN, 32, 1 << 128, (1 << 256) - 1]), st.integers(0, (1 << 256) - 1))
words = st.one_of(st.sampled_from([0, 0, 1, 255, 1 << 255]), st.integers(0, (1 << 256) - 2))
pairs = st.lists(st.tuples(slots, words), max_size=12)


def calldata(writes: Pairs, call: bytes = b"") -> bytes:
    flat = [number.to_bytes(32, "big") for pair in writes for number in pair]
    return (32 * len(flat)).to_bytes(32, "big") + b"".join(flat) + call


def through_a_native_actor(writes: Pairs, gives_up: bool) -> bytes:
    """Return precompile input for a native actor that calls the contract back, and optionally fails afterwards."""
    script = Script()
    script.send(to_filecoin(WRITER), INVOKE_EVM, calldata(writes), RAW)
    if gives_up:
        script.abort(77, b"")
    head = (1024, 0, 0, CBOR, script.wrapped(), Address.id(PUPPETS[0]).to_bytes())
    return encode_abi(["uint64", "uint256", "uint64", "uint64", "bytes", "bytes"], head)


@settings(max_examples=samples(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=pairs, below=pairs, gives_up=st.booleans())
def test_bridge_storage_matches_model_after_nested_native_call(
    both: Stages, first: Pairs, below: Pairs, gives_up: bool
) -> None:
    model = dict(first)
    if not gives_up:
        model.update(below)
    model[KEPT] = (model.get(SEEN, 0) + 1) % (1 << 256)
    data = calldata(first, through_a_native_actor(below, gives_up))
    roots = set()
    for twin in (both.ours, both.official):
        machine = twin.machine
        machine.restore(twin._empty)
        install_alloc(machine, {SENDER: AllocAccount(10**18), WRITER: AllocAccount(0, 1, assemble(CODE))})
        message = Message(
            to_filecoin(WRITER), to_filecoin(SENDER), method=INVOKE_EVM, params=byte_string(data), gas_limit=GAS_LIMIT
        )
        assert machine.apply(message).exit_code == ExitCode.OK
        roots.add(machine.root)
        for slot in {*model, *dict(below), 3}:
            expected = model.get(slot, 0)
            assert int.from_bytes(storage_of(machine, to_filecoin(WRITER), slot), "big") == expected
            assert storage_at(machine, slot) == expected
        assert dict(read_alloc(machine))[WRITER].storage == {slot: value for slot, value in model.items() if value}
    assert len(roots) == 1


def storage_at(machine: Hypervisor, slot: int) -> int:
    """Return the result of method 5 for the system actor; a key may have leading zeros."""
    params = encode([slot.to_bytes(32, "big")])
    message = Message(
        to_filecoin(WRITER), Address.id(SYSTEM_ACTOR), method=MethodNumber(5), params=params, gas_limit=Gas(GAS_LIMIT)
    )
    return int.from_bytes(decode(machine.call(message).return_data), "big")
