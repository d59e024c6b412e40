"""State tests of our own, in Ethereum's format; `python -m tests.conformance.state_test_cases` generates them.

They replace the official ones without the test data, under the same names (tests/own_data). The expected results come
from py-evm's own virtual machine and trie; only one of our engines shares code with it, the instructions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import rlp
from eth.abc import StateAPI, VirtualMachineAPI
from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun import CancunVM
from eth.vm.forks.prague import PragueVM
from eth_account import Account
from eth_typing import Address, BlockNumber, Hash32

from store.keccak import keccak
from tests.conftest import OWN_DATA
from tests.runtimes.evm.assembler import assemble, deployer

FORKS: Final[Mapping[str, type[VirtualMachineAPI]]] = {"Cancun": CancunVM, "Prague": PragueVM}
KEY, SIGNER_KEY = (keccak(name) for name in (b"sender", b"signer"))
SENDER, SIGNER = Account.from_key(KEY).address.lower(), Account.from_key(SIGNER_KEY).address.lower()
CONTRACT, OTHER, COINBASE = ("0x" + byte * 20 for byte in ("cc", "dd", "2a"))
GENERAL: Final = "vectors/GeneralStateTests"
BASE_FEE, GAS_LIMIT, BALANCE, TIMESTAMP = 1000, 1 << 24, 10**18, 1000
RANDOM: Final = 0x20000


@dataclass(frozen=True, slots=True)
class Written:
    """A file with one test: the contract, and variants of a transaction to it (a creation if `creates`)."""

    file: str
    code: str
    data: tuple[str, ...] = ("",)
    gas: tuple[int, ...] = (400_000,)
    value: tuple[int, ...] = (0,)
    other: str = "CALLER 0 SSTORE"
    fields: Mapping[str, Any] = field(default_factory=dict)
    creates: bool = False
    forks: tuple[str, ...] = ("Cancun", "Prague")
    refused: str | None = None


_FEES: Final = {"maxFeePerGas": 2000, "maxPriorityFeePerGas": 10}
_LIST: Final = [{"address": CONTRACT, "storageKeys": ["0x" + f"{slot:064x}" for slot in (0, 1)]}]
CALL: Final = f"32 0 0 0 5 {int(OTHER, 16)} GAS CALL 0 SSTORE RETURNDATASIZE 1 SSTORE 0 MLOAD 2 SSTORE"
CASES: Final = (
    Written(
        f"{GENERAL}/stExample/eip1559.json", "GASPRICE 0 SSTORE BASEFEE 1 SSTORE CALLDATASIZE 2 SSTORE",
        ("00", "0102"), fields={**_FEES, "accessList": _LIST},
    ),
    Written(
        f"{GENERAL}/stExample/accessListExample.json", "0 SLOAD 1 ADD 0 SSTORE 7 0 0 LOG1", ("00", "01"),
        (400_000, 30_000), fields={"gasPrice": 1500, "accessList": _LIST},
    ),
    Written(
        f"{GENERAL}/stExample/invalidTr.json", "1 0 SSTORE", gas=(20_999,), fields={"gasPrice": 2000},
        refused="TransactionException.INTRINSIC_GAS_TOO_LOW",
    ),
    Written(
        f"{GENERAL}/stExample/legacy.json", CALL, value=(0, 7), other="CALLVALUE 0 MSTORE 32 0 RETURN",
        fields={"gasPrice": 1000},
    ),
    Written(f"{GENERAL}/stEIP2930/listed.json", "1 SLOAD 0 SSTORE", fields={"gasPrice": 1000, "accessList": _LIST}),
    Written(f"{GENERAL}/stEIP1559/priority.json", "COINBASE BALANCE 0 SSTORE", fields={**_FEES, "accessList": []}),
    Written(
        f"{GENERAL}/stCreate2/twice.json",
        f"{int.from_bytes(deployer(assemble('1 0 MSTORE')), 'big')} 0 MSTORE "
        f"5 {len(deployer(assemble('1 0 MSTORE')))} {32 - len(deployer(assemble('1 0 MSTORE')))} 0 CREATE2 0 SSTORE "
        f"5 {len(deployer(assemble('1 0 MSTORE')))} {32 - len(deployer(assemble('1 0 MSTORE')))} 0 CREATE2 1 SSTORE",
        fields={"gasPrice": 1000},
    ),
    Written(
        f"{GENERAL}/stReturnDataTest/reverted.json", f"{CALL} 2 0 40 RETURNDATACOPY 3 SSTORE",
        other="0xbeef 0 MSTORE 32 0 REVERT", value=(5,), fields={"gasPrice": 1000},
    ),
    Written(
        f"{GENERAL}/stTransactionTest/StoreGasOnCreate.json", "STOP", (assemble("GAS 0 SSTORE").hex(),),
        fields={"gasPrice": 1000}, creates=True,
    ),
    Written(
        "vectors/state_tests/cancun/eip4844_blobs/hashes.json", "0 BLOBHASH 0 SSTORE BLOBBASEFEE 1 SSTORE",
        fields={**_FEES, "accessList": [], "maxFeePerBlobGas": 10, "blobVersionedHashes": ["0x01" + "ab" * 31]},
    ),
    Written(
        "vectors/state_tests/prague/eip7702_set_code_tx/test_double_auth.json", "ADDRESS 0 SSTORE CALLER 1 SSTORE",
        fields={**_FEES, "accessList": [], "authorizationList": [0, 1]}, forks=("Prague",),
    ),
)  # fmt: skip


def written(case: Written) -> dict[str, Any]:
    name = Path(case.file).stem
    post = {fork: [_post(case, fork, place) for place in _places(case)] for fork in case.forks}
    env = {
        "currentBaseFee": hex(BASE_FEE), "currentCoinbase": COINBASE, "currentDifficulty": "0x00",
        "currentExcessBlobGas": "0x00", "currentGasLimit": hex(GAS_LIMIT), "currentNumber": "0x01",
        "currentRandom": f"0x{RANDOM:064x}", "currentTimestamp": hex(TIMESTAMP),
    }  # fmt: skip
    pre = {
        address: {"balance": hex(balance), "code": f"0x{code.hex()}", "nonce": hex(nonce), "storage": {}}
        for address, (balance, nonce, code) in _accounts(case).items()
    }
    return {name: {"env": env, "pre": pre, "transaction": _transaction(case), "post": post}}


def _places(case: Written) -> list[tuple[int, int, int]]:
    return [(d, g, v) for d in range(len(case.data)) for g in range(len(case.gas)) for v in range(len(case.value))]


def _accounts(case: Written) -> dict[str, tuple[int, int, bytes]]:
    return {
        SENDER: (BALANCE, 1, b""),
        CONTRACT: (BALANCE, 1, assemble(case.code)),
        OTHER: (0, 1, assemble(case.other)),
    }


def _authorizations(case: Written) -> list[Any]:
    signer = Account.from_key(SIGNER_KEY)
    return [
        signer.sign_authorization({"chainId": 1, "address": OTHER, "nonce": nonce})
        for nonce in case.fields.get("authorizationList", ())
    ]


def _raw(case: Written, place: tuple[int, int, int]) -> bytes:
    data, gas, value = place
    transaction = {
        **case.fields, "nonce": 1, "to": "" if case.creates else _checksummed(CONTRACT), "value": case.value[value],
        "data": f"0x{case.data[data]}", "gas": case.gas[gas], "chainId": 1,
    }  # fmt: skip
    if "authorizationList" in case.fields:
        transaction["authorizationList"] = _authorizations(case)
    return bytes(Account.sign_transaction(transaction, KEY).raw_transaction)


def _checksummed(address: str) -> str:
    from eth_utils.address import to_checksum_address

    return to_checksum_address(address)


def _post(case: Written, fork: str, place: tuple[int, int, int]) -> dict[str, Any]:
    raw = _raw(case, place)
    root, logs = _outcome(case, fork, raw)
    indexes = dict(zip(("data", "gas", "value"), place, strict=True))
    refused = {} if case.refused is None else {"expectException": case.refused}
    return {
        "hash": f"0x{root.hex()}",
        "logs": f"0x{logs.hex()}",
        "indexes": indexes,
        "txbytes": f"0x{raw.hex()}",
        **refused,
    }


def _outcome(case: Written, fork: str, raw: bytes) -> tuple[bytes, bytes]:
    """Return the state root and the hash of the logs according to py-evm."""
    machine = FORKS[fork]
    context = ExecutionContext(
        Address(bytes.fromhex(COINBASE[2:])), TIMESTAMP, BlockNumber(1), 0, Hash32(RANDOM.to_bytes(32, "big")),
        GAS_LIMIT, (), 1, BASE_FEE, 0,
    )  # fmt: skip
    state: StateAPI = machine.get_state_class()(AtomicDB(), context, _EMPTY)
    for address, (balance, nonce, code) in _accounts(case).items():
        account = Address(bytes.fromhex(address[2:]))
        state.set_balance(account, balance)
        state.set_nonce(account, nonce)
        state.set_code(account, code)
    state.persist()
    logs: Any = ()
    if case.refused is None:
        transaction = machine.get_transaction_builder().decode(raw)
        state.validate_transaction(transaction)
        logs = state.apply_transaction(transaction).get_log_entries()
    state.persist()
    return state.state_root, keccak(rlp.encode([[a, [t.to_bytes(32, "big") for t in ts], d] for a, ts, d in logs]))


_EMPTY: Final = Hash32(keccak(rlp.encode(b"")))


def _transaction(case: Written) -> dict[str, Any]:
    numbers = {name: hex(value) for name, value in case.fields.items() if isinstance(value, int)}
    lists = {"accessLists": [case.fields["accessList"]] * len(case.data)} if "accessList" in case.fields else {}
    hashes = {name: value for name, value in case.fields.items() if name == "blobVersionedHashes"}
    signed = [
        {
            "chainId": hex(one.chain_id), "address": OTHER, "nonce": hex(one.nonce), "v": hex(one.y_parity),
            "yParity": hex(one.y_parity), "r": hex(one.r), "s": hex(one.s), "signer": SIGNER,
        }
        for one in _authorizations(case)
    ]  # fmt: skip
    return {
        **numbers, **lists, **hashes, **({"authorizationList": signed} if signed else {}),
        "nonce": "0x01", "sender": SENDER, "secretKey": f"0x{KEY.hex()}", "to": "" if case.creates else CONTRACT,
        "data": [f"0x{data}" for data in case.data], "gasLimit": [hex(gas) for gas in case.gas],
        "value": [hex(value) for value in case.value],
    }  # fmt: skip


def text_of(case: Written) -> str:
    return json.dumps(written(case), indent=1) + "\n"


def main() -> None:
    for case in CASES:
        path = OWN_DATA / case.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(case), encoding="utf-8")


if __name__ == "__main__":
    main()
