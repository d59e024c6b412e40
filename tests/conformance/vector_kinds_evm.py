"""Named messages to and from contracts and Ethereum accounts, for test vectors (`Scenario`)."""

import json
from typing import Final

from bridge.bindings import eam, evm, init, storageminer
from bridge.ethereum.addresses import to_filecoin
from bridge.ethereum.transactions import LEGACY
from hypervisor.messages.address import Address
from hypervisor.types import INIT_ACTOR
from localnet import Account
from store.codec import encode
from tests.conformance.evm_code import (
    BALANCE_AND_CODE,
    BLOCKHASH,
    CALL,
    CLZ,
    CREATE,
    CREATE2,
    DELEGATECALL,
    ENVIRONMENT,
    INVALID,
    LOAD,
    LOGS,
    LOOP,
    MCOPY,
    RECURSION,
    REVERT,
    SELFDESTRUCT,
    STATICCALL,
    STORE,
    TRANSIENT,
    creation,
    word,
)
from tests.conformance.vector_scenario import Scenario
from tests.localnet.conftest import ARTIFACTS

EAM: Final = Address.id(10)
INVOKE: Final = 3_844_450_837
"""Method InvokeContract (FRC-42)."""
INCREMENT: Final = bytes.fromhex("d09de08a")
_CALL_ACTOR_BY_ID: Final = 0xFE << 152 | 5
_PRECOMPILE_INPUTS: Final = {
    5: word(1) + word(1) + word(1) + b"\x03\x05\x07",
    6: word(1) + word(2) + word(1) + word(2),
    7: word(1) + word(2) + word(3),
    8: b"",
    9: bytes(3) + b"\x0c" + bytes(208) + b"\x01",
    11: bytes(256),
}
"""Valid inputs by the number of a precompile: modexp, BN254 addition, multiplication and pairing, BLAKE2, BLS12-381."""
NUMBER: Final = bytes.fromhex("8381f58a")


def ethereum_accounts(s: Scenario) -> None:
    """Placeholders that become Ethereum accounts, and transactions of every type."""
    fresh = Account.from_key(bytes(31) + b"\x55")
    s.native("ethaccount/placeholder-funded", fresh.delegated, value=10**20)
    s.eth("ethaccount/created-by-first-transaction", s.bob.address, sender=fresh, value=1)
    s.eth("ethaccount/transfer-to-new-placeholder", bytes.fromhex("11" * 20), value=5)
    s.eth("ethaccount/transfer-to-native-id", bytes.fromhex("ff" + "00" * 11 + f"{s.miner.id:016x}"), value=5)
    s.eth("ethaccount/transfer-to-precompile", bytes(19) + b"\x01", value=5)
    s.eth("ethaccount/legacy-transaction", s.bob.address, value=2, type=LEGACY)
    s.native("ethaccount/called-natively", s.bob.delegated, INVOKE, encode(b"\x01\x02"))
    s.native("ethaccount/method-below-frc42", s.bob.delegated, 5)


def contract_creations(s: Scenario) -> None:
    """Contracts created by transactions, by the EAM, and by contracts; failures of creations."""
    artifact = json.loads((ARTIFACTS / "Counter.json").read_text())["bytecode"]
    text = artifact["object"] if isinstance(artifact, dict) else artifact
    initcode = bytes.fromhex(text.removeprefix("0x"))
    counter = s.eth("create/counter", None, initcode).contract_address
    s.eth("evm/counter-increment", counter, INCREMENT)
    s.eth("evm/counter-increment-again", counter, INCREMENT)
    s.eth("evm/counter-number", counter, NUMBER)
    s.eth("evm/counter-unknown-selector", counter, b"\x12\x34\x56\x78")
    s.eth("evm/counter-not-payable", counter, INCREMENT, value=1)
    s.native("evm/called-natively", to_filecoin(counter), INVOKE, encode(INCREMENT))
    s.native("evm/called-natively-without-parameters", to_filecoin(counter), INVOKE)
    s.native("evm/get-bytecode", to_filecoin(counter), evm.get_bytecode())
    s.native("evm/get-bytecode-hash", to_filecoin(counter), evm.get_bytecode_hash())
    s.native("evm/get-storage-forbidden", to_filecoin(counter), evm.get_storage_at(bytes(32)))
    s.native("create/external-by-secp256k1-account", EAM, eam.create_external(initcode))
    s.native("create/create2-by-account-forbidden", EAM, eam.create2(initcode, bytes(32)))
    s.native(
        "create/exec-of-evm-forbidden", Address.id(INIT_ACTOR), init.exec(s.network.machine.manifest.code("evm"), b"")
    )
    s.eth("create/empty-code", None, b"", value=7)
    s.eth("create/reverts", None, bytes.fromhex(REVERT))
    s.eth("create/invalid-instruction", None, b"\xfe")
    s.eth("create/code-starts-with-ef", None, bytes.fromhex("60ef5f5360015ff3"))
    s.eth("create/larger-than-limit", None, bytes.fromhex("6160015ff3"))
    s.eth("create/out-of-gas", None, initcode, gas=5_000_000)
    maker = s.deploy("create/factory", CREATE)
    s.eth("create/by-contract", maker, creation(STORE))
    s.eth("create/by-contract-reverts", maker, bytes.fromhex(REVERT))
    again = s.deploy("create/factory-create2", CREATE2)
    s.eth("create/create2-by-contract", again, creation(STORE))
    s.eth("create/create2-collision", again, creation(STORE))


def contract_calls(s: Scenario) -> None:
    """Calls between contracts, and to native actors through precompiles."""
    store = s.deploy("evm/deploy-storage", STORE)
    failing = s.deploy("evm/deploy-reverting", REVERT)
    deployed = {
        "call": s.deploy("evm/deploy-call", CALL),
        "delegatecall": s.deploy("evm/deploy-delegatecall", DELEGATECALL),
    }
    deployed["staticcall"] = s.deploy("evm/deploy-staticcall", STATICCALL)
    for name, address in deployed.items():
        s.eth(f"evm/{name}-writes-storage", address, word(store) + word(1) + word(42))
        s.eth(f"evm/{name}-to-reverting", address, word(failing))
        s.eth(f"evm/{name}-to-nothing", address, word(0xDEADBEEF))
        s.eth(f"evm/{name}-identity", address, word(4) + b"some data")
        s.eth(f"evm/{name}-resolve-address", address, word(0xFE << 152 | 1) + s.alice.native.to_bytes())
        s.eth(f"evm/{name}-lookup-delegated", address, word(0xFE << 152 | 2) + word(s.miner.id))
    forward = deployed["call"]
    s.eth("evm/call-with-value", forward, word(s.bob.address), value=3)
    s.eth("evm/call-with-value-to-new-account", forward, word(bytes.fromhex("22" * 20)), value=3)
    for number in (1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 0x100):
        s.eth(f"precompile/{number:03x}", forward, word(number) + _PRECOMPILE_INPUTS.get(number, b"abc"))
        s.eth(f"precompile/{number:03x}-malformed", forward, word(number) + bytes(range(1, 130)))
    by_id = word(storageminer.get_owner().method) + word(0) * 3 + word(0xC0) + word(s.miner.id) + word(0)
    s.eth("precompile/call-actor-by-id", deployed["delegatecall"], word(_CALL_ACTOR_BY_ID) + by_id)
    s.eth("precompile/call-actor-by-id-not-delegated", forward, word(_CALL_ACTOR_BY_ID) + by_id)


def instructions(s: Scenario) -> None:
    """Reverts, loops, events, deletion, and instructions that some network versions lack."""
    store = s.deploy("evm/deploy-reader", LOAD)
    s.eth("evm/reads-empty-slot", store, word(9))
    logs = s.deploy("events/deploy", LOGS)
    s.eth("events/zero-to-four-topics", logs)
    s.native("events/called-natively", to_filecoin(logs), INVOKE, encode(b""))
    s.eth("events/out-of-gas", logs, gas=2_300_000)
    for name, program in (
        ("revert", REVERT), ("invalid", INVALID), ("transient", TRANSIENT), ("mcopy", MCOPY),
        ("clz", CLZ), ("environment", ENVIRONMENT), ("blockhash", BLOCKHASH),
    ):  # fmt: skip
        s.eth(f"evm/{name}", s.deploy(f"evm/deploy-for-{name}", program), word(0xFFFF))
    loop = s.deploy("evm/deploy-loop", LOOP)
    s.eth("fail/out-of-gas-in-loop", loop, gas=20_000_000)
    deep = s.deploy("evm/deploy-recursion", RECURSION)
    s.eth("evm/recursion-until-out-of-gas", deep, gas=300_000_000)
    facts = s.deploy("evm/deploy-account-facts", BALANCE_AND_CODE)
    for name, target in (("contract", facts), ("account", s.bob.address), ("nothing", word(7)[12:])):
        s.eth(f"evm/code-and-balance-of-{name}", facts, word(target))
    mortal = s.deploy("evm/deploy-selfdestruct", SELFDESTRUCT, value=0)
    s.eth("evm/selfdestruct", mortal, word(s.bob.address), value=9)
    s.eth("evm/call-deleted-contract", mortal, word(s.bob.address), value=1)
