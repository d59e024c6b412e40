"""Our own test cases for the official EVM actor: `python -m tests.conformance.fevm_cases` records them.

Each case is a contract and the calldata of its messages. The EVM actor of an official bundle executes them. The results
are stored in fevm/own.json, so that tests without official bundles can compare with them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor.bundles.bundle import Bundle
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import InitState
from hypervisor_tools.laboratory.vectors.fevm import CaseRunner, apply, events_of
from store.blocks.memory import MemoryStore
from store.blockstore import put_object
from store.cid import EMPTY_ARRAY_CID, RAW, Cid, cid_of, show
from store.keccak import keccak
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt
from tests.conftest import data_file
from tests.runtimes.evm.assembler import assemble

FOLDER: Final = Path(__file__).resolve().parent / "fevm"
GROUP: Final = "own"
BUNDLE: Final = "bundles/v18-devnet.car"
SENDER, CONTRACT, OTHER = 100, 200, 201
PLACES: Final = {SENDER: EthAddress(b"\x5e" * 20), CONTRACT: EthAddress(b"\xc0" * 20), OTHER: EthAddress(b"\xc1" * 20)}
_OTHER: Final = int.from_bytes(PLACES[OTHER], "big")
_CONTEXT: Final = {
    "epoch": 1000, "timestamp": 1_700_030_000, "base_fee": 100, "chain_id": 31415926, "gas_premium": 0,
    "circulating_supply": 2 * 10**27, "gas_limit": 10**10,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Written:
    """Definition of a case: the contract, its calldata, and a second contract that it may call."""

    code: str
    calldata: tuple[str, ...] = ("",)
    other: str = "STOP"
    value: int = 0


CASES: Final[Mapping[str, Written]] = {
    "storage_grows_and_shrinks": Written(
        "32 CALLDATALOAD 0 CALLDATALOAD SSTORE 0 SLOAD 0 MSTORE 32 0 RETURN",
        tuple(f"{slot:064x}{value:064x}" for slot, value in ((0, 7), (1, 1 << 255), (1 << 128, 3), (0, 0), (1, 0))),
    ),
    "a_revert_keeps_nothing": Written("1 0 SSTORE 0xdead 0 MSTORE 2 30 REVERT"),
    "an_invalid_instruction": Written("1 0 SSTORE INVALID"),
    "transient_storage_ends_with_the_message": Written(
        "5 TLOAD 0 SSTORE 9 5 TSTORE 5 TLOAD 1 SSTORE", ("", "00" * 32)
    ),
    "logs": Written("0x0102 0 MSTORE 7 2 30 LOG1 8 7 0 0 LOG2 32 0 LOG0"),
    "a_call_with_value": Written(
        f"32 0 0 0 3 {_OTHER} GAS CALL 0 SSTORE 0 MLOAD 1 SSTORE", ("",), "CALLVALUE 0 MSTORE 32 0 RETURN", 10
    ),
    "a_delegate_call": Written(
        f"0 0 0 0 {_OTHER} GAS DELEGATECALL 0 SSTORE", ("",), "CALLER 4 SSTORE ADDRESS 5 SSTORE", 2
    ),
    "a_static_call_may_not_write": Written(f"0 0 0 0 {_OTHER} GAS STATICCALL 7 SSTORE", ("",), "1 1 SSTORE"),
    "code_and_hash_of_another": Written(
        f"{_OTHER} EXTCODESIZE 0 SSTORE {_OTHER} EXTCODEHASH 1 SSTORE {_OTHER} BALANCE 2 SSTORE", ("",), "ADDRESS POP"
    ),
    "where_it_is": Written(
        "NUMBER 0 SSTORE TIMESTAMP 1 SSTORE CHAINID 2 SSTORE BASEFEE 3 SSTORE CALLER 4 SSTORE ORIGIN 5 SSTORE"
    ),
    "a_precompile_of_ethereum": Written("0xabc 0 MSTORE 32 32 32 0 2 GAS STATICCALL 0 SSTORE 32 MLOAD 1 SSTORE"),
    "a_precompile_of_filecoin": Written(
        f"{_OTHER} 0 MSTORE 32 32 32 0 {0xFE << 152 | 2} GAS STATICCALL 0 SSTORE 32 MLOAD 1 SSTORE"
    ),
}  # fmt: skip


def recorded(name: str, written: Written, world: CaseRunner) -> dict[str, Any]:
    """Return the case with the results of the machine's EVM actor."""
    pre = list(_before(written))
    case: dict[str, Any] = {
        "name": name, "group": GROUP, "network_version": 28, "context": _CONTEXT, "pre": pre,
        "messages": [_message(place, calldata, written.value) for place, calldata in enumerate(written.calldata)],
    }  # fmt: skip
    machine, known = world.begin(case), {actor["id"]: actor for actor in pre}
    case["expects"] = []
    for message in case["messages"]:
        result = apply(machine, case, message, known)
        changed = list(_changed(machine, known))
        known.update({actor["id"]: actor for actor in changed})
        case["expects"].append({
            "exit_code": int(result.exit_code), "aborts": [], "return": result.return_data.hex(),
            "events": events_of(result.events), "actors": changed,
        })  # fmt: skip
    return case


def _before(written: Written) -> Iterator[dict[str, Any]]:
    store = MemoryStore()
    addresses = Hamt(store, None, 5)
    book = sorted((to_filecoin(place).to_bytes(), number) for number, place in PLACES.items())
    for address, number in book:
        addresses.set(address, number)
    init = put_object(store, InitState(addresses.flush(), 1000, "golden").fields())
    listed = {"next_id": 1000, "network_name": "golden", "address_map": [[raw.hex(), number] for raw, number in book]}
    yield _actor(0, "system", EMPTY_ARRAY_CID)
    yield {**_actor(1, "init", init), "init": listed}
    yield _actor(10, "eam", EMPTY_ARRAY_CID)
    yield {**_actor(99, "account", put_object(store, [b"\0\x63"])), "address": "0063"}
    yield _actor(SENDER, "ethaccount", EMPTY_ARRAY_CID, 10**21)
    for number, code in ((CONTRACT, assemble(written.code)), (OTHER, assemble(written.other))):
        state = EvmState(cid_of(code, RAW), keccak(code), Kamt(store).flush(), None, 1, None).encode()
        evm = {
            "bytecode": code.hex(), "bytecode_hash": keccak(code).hex(), "storage": {}, "nonce": 1, "tombstone": None,
            "transient": None,
        }  # fmt: skip
        yield {**_actor(number, "evm", cid_of(state)), "evm": evm}


def _actor(number: int, code: str, head: Cid, balance: int = 0, nonce: int = 0) -> dict[str, Any]:
    place = PLACES.get(number)
    delegated = None if place is None else to_filecoin(place).to_bytes().hex()
    return {
        "id": number, "code": code, "balance": str(balance), "nonce": nonce, "delegated": delegated, "head": show(head),
    }  # fmt: skip


def _message(nonce: int, calldata: str, value: int) -> dict[str, Any]:
    params = byte_string(bytes.fromhex(calldata)).hex() if calldata else ""
    return {
        "kind": "explicit", "from": SENDER, "to": Address.id(CONTRACT).to_bytes().hex(), "method": INVOKE_EVM,
        "value": str(value), "params": params, "nonce": nonce,
    }  # fmt: skip


def _changed(machine: Hypervisor, known: Mapping[int, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return the actors whose state changed; no case creates an actor."""
    machine.state_tree.flush()
    for number, state in machine.state_tree.actors():
        before = known[number]
        if before["code"] == "system":
            continue
        after = _actor(number, before["code"], state.head, state.balance, state.nonce)
        if any(after[name] != before[name] for name in after):
            yield after


def main() -> None:
    world = CaseRunner(Bundle.open(data_file(BUNDLE)), evm="official")
    cases = [recorded(name, written, world) for name, written in CASES.items()]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{GROUP}.json").write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
