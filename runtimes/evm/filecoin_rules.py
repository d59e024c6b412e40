"""The rules of the Filecoin EVM by network version. Versions differ only in the EVM features that their rows list.

Rules: FIP-0054 and its successors; builtin-actors actors/evm.
"""

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.precompiles import PrecompileTable
from hypervisor.versions.network_versions import NetworkVersion
from runtimes.evm.opcodes import FILECOIN_OPCODES, OPCODE_NUMBERS
from runtimes.evm.rules import (
    BLS12_381_SLOTS,
    ETHEREUM_SLOTS,
    FILECOIN_PREFIX,
    P256_ADDRESS,
    EvmRules,
    frame_price_at,
    precompile_address,
    precompiles_with,
    work_at,
)
from store.cid import CBOR, DAG_CBOR

_FILECOIN_SLOTS: Final = MappingProxyType({
    1: "resolve_address", 2: "lookup_delegated_address", 3: "call_actor", 5: "call_actor_id",
})  # fmt: skip


def filecoin_evm_rules(network: NetworkVersion) -> EvmRules:
    """Return the rules of the Filecoin EVM in a network version."""
    features = network.evm
    absent = set()
    if "MCOPY" not in features:
        absent.add("MCOPY")
    if "TRANSIENT" not in features:
        absent |= {"TLOAD", "TSTORE"}
    if "CLZ" not in features:
        absent.add("CLZ")
    absent_numbers = {OPCODE_NUMBERS[name] for name in absent}
    slots = {precompile_address(0, index): name for index, name in ETHEREUM_SLOTS.items()}
    slots.update({precompile_address(FILECOIN_PREFIX, index): name for index, name in _FILECOIN_SLOTS.items()})
    if "BEACON_RANDOMNESS" in features:
        slots[precompile_address(FILECOIN_PREFIX, 6)] = "get_beacon_randomness"
    if "BLS12_381" in features:
        slots.update({precompile_address(0, index): name for index, name in BLS12_381_SLOTS.items()})
    reserved = frozenset[EthAddress]()
    if "P256" in features:
        slots[P256_ADDRESS] = "p256_verify"
        reserved = frozenset({P256_ADDRESS})
    suffix = "" if network.overlay is None else f" with {network.overlay.digest}"
    prices = network.prices
    rules = EvmRules(
        name=f"filecoin nv{network.number}{suffix}",
        opcodes=MappingProxyType({n: op for n, op in FILECOIN_OPCODES.items() if n not in absent_numbers}),
        precompiles=MappingProxyType(slots),
        transient_storage="TRANSIENT" in features,
        creation_returns="CREATION_RETURNS" in features,
        tombstone_reloads="TOMBSTONE_RELOADS" in features,
        getters_ignore_params="STRICT_GETTERS" not in features,
        bytecode_codec=CBOR if "PLAIN_BYTECODE" in features else DAG_CBOR,
        delegate_any_cbor="STRICT_DELEGATE" not in features,
        frame_price=frame_price_at(prices),
        memory_fill_price=prices.wasm_memory_per_byte,
        memory_growth_price=prices.wasm_memory_per_byte,
        reserved=reserved,
    )
    return replace(
        rules,
        gas_rate=work_at(prices, rules.gas_rate),
        analysis_price=work_at(prices, rules.analysis_price),
        node_read_price=work_at(prices, rules.node_read_price),
        node_write_price=work_at(prices, rules.node_write_price),
    )


def rules_with(network: NetworkVersion, table: PrecompileTable) -> EvmRules:
    """Return the rules of a network version with users' precompiles added."""
    rules = filecoin_evm_rules(network)
    return replace(
        rules,
        precompiles=precompiles_with(rules.precompiles, table),
        reserved=rules.reserved.union(map(EthAddress, table.by_address)),
        registered=MappingProxyType(table.by_name),
    )
