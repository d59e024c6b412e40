"""The features and prices of contracts as data, and Filecoin's rules by network version.

Engines, host and actor read one `EvmRules` object and never check a version. Filecoin's versions differ only in the EVM
features that their rows list; Ethereum's sets are in `runtimes.evm.forks.forks`. Rules: FIP-0054 and its successors;
builtin-actors actors/evm.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.gas import DEFAULT_RATE
from hypervisor.gas import PriceList
from hypervisor.precompiles import Precompile, PrecompileTable
from hypervisor.types import ActorID
from hypervisor.versions.network_versions import LATEST, NetworkVersion
from runtimes.evm.contracts.gas_table import FILECOIN_OPERANDS, OperandPrices
from runtimes.evm.contracts.opcodes import FILECOIN_OPCODES, OPCODE_NUMBERS, Opcode
from store.cid import CBOR, DAG_CBOR

_PAGE = 65536
_OFFICIAL_PAGES = 17
_OFFICIAL_INSTRUCTIONS = 23_500
_OFFICIAL_SYSCALLS = 2
_PRICES = LATEST.prices


def frame_price_at(prices: PriceList) -> int:
    """Return what the official module pays before it runs an opcode, in milligas."""
    memory = _OFFICIAL_PAGES * _PAGE * prices.wasm_memory_per_byte
    return memory + _OFFICIAL_INSTRUCTIONS * prices.wasm_instruction + _OFFICIAL_SYSCALLS * prices.syscall


def work_at(prices: PriceList, measured: int) -> int:
    """Convert measured work of the official module, in milligas, to another price per instruction."""
    return max(1, measured * prices.wasm_instruction // _PRICES.wasm_instruction)


def precompiles_with(own: Mapping[EthAddress, str], table: PrecompileTable) -> Mapping[EthAddress, str]:
    """Return the precompiles of a set of rules with users' added: names by address."""
    return MappingProxyType({**own, **{EthAddress(address): row.name for address, row in table.by_address.items()}})


def precompile_address(prefix: int, index: int) -> EthAddress:
    """Return the address made of a first byte, zeros, and a last byte (two bytes for 0x0100)."""
    return EthAddress(bytes([prefix]) + index.to_bytes(19, "big"))


ETHEREUM_SLOTS: Final = MappingProxyType({
    1: "ecrecover", 2: "sha256", 3: "ripemd160", 4: "identity", 5: "modexp",
    6: "bn254_add", 7: "bn254_mul", 8: "bn254_pairing", 9: "blake2f",
})  # fmt: skip
BLS12_381_SLOTS: Final = MappingProxyType({
    0x0B: "bls12_g1add", 0x0C: "bls12_g1msm", 0x0D: "bls12_g2add", 0x0E: "bls12_g2msm",
    0x0F: "bls12_pairing_check", 0x10: "bls12_map_fp_to_g1", 0x11: "bls12_map_fp2_to_g2",
})  # fmt: skip
P256_ADDRESS: Final = precompile_address(0, 0x100)
FILECOIN_PREFIX: Final = 0xFE


class CodeLimit(NamedTuple):
    """A limit on contracts' code set by a tool: bytes, None for the network version's own.

    It is the `block` of a machine context under Filecoin's rules, as `EthereumBlock` is under Ethereum's; an official
    EVM actor only has its own limit. `exempt` is a contract of any size: a test contract, which is never deployed.
    """

    longest: int | None = None
    exempt: ActorID | None = None


class EvmRules(NamedTuple):
    """One set of rules.

    Sizes are bytes, prices milligas unless stated otherwise. `precompiles` maps addresses to function names; an address
    of the reserved pattern without a name is an unused slot, which succeeds and returns nothing.
    """

    name: str
    opcodes: Mapping[int, Opcode]
    precompiles: Mapping[EthAddress, str]
    transient_storage: bool
    """True if the state tuple has its sixth field."""
    creation_returns: bool = True
    """True if CREATE sets the return data, empty unless it reverts; otherwise it checks the balance first."""
    tombstone_reloads: bool = True
    """True if a frame notices its destruction by another frame; otherwise its next write revives the contract."""
    getters_ignore_params: bool = False
    """True if GetBytecode and GetBytecodeHash ignore parameters."""
    bytecode_codec: int = DAG_CBOR
    """Codec of GetBytecode's result."""
    delegate_any_cbor: bool = False
    """True if InvokeContractDelegate reads CBOR as well as DAG-CBOR."""
    block_gas_limit: int = 10_000_000_000
    max_code_size: int = 24_576
    memory_page: int = 4096
    """Memory grows by pages of this size in bytes; MSIZE does not show it."""
    max_frame_memory: int = (512 << 20) - (_OFFICIAL_PAGES + 1) * _PAGE - 4096
    """A WASM instance's 512 MiB minus the official module's own data (measured)."""
    gas_rate: int = DEFAULT_RATE
    """Milligas per EVM gas."""
    frame_price: int = frame_price_at(_PRICES)
    """An invocation of the EVM actor: the official module's (v18) price for its initial memory and no opcode."""
    first_memory: int = (_OFFICIAL_PAGES + 1) * _PAGE
    """Bytes of the memory shared by all live calls that an invocation takes: initial memory and a page of heap."""
    analysis_price: int = 87_000
    """Search for jump destinations, per instruction of the code that is about to run (measured)."""
    node_price: int = 16_000_000
    """Decoding a node of a storage tree (measured); opening its block has the machine's price."""
    node_read_price: int = 170_000
    """Decoding a node, per byte (measured)."""
    node_write_price: int = 350_000
    """Encoding a node, per byte (measured)."""
    call_price: int = 18_600_000
    """Sending a call, which those of precompiles do not need (measured)."""
    path_bit_price: int = 264_000
    """Comparing a slot with the path of a link, per bit (measured)."""
    memory_fill_price: int = _PRICES.wasm_memory_per_byte
    memory_growth_price: int = _PRICES.wasm_memory_per_byte
    """Linear prices per byte of memory: zeroing it, and growing the instance beyond `free_memory`."""
    free_memory: int = _PAGE
    copied_bytes_per_gas: int = 1024
    """Bytes copied within memory per EVM gas: about WASM's 0.4 gas per byte."""
    transfer_gas_limit: int = 10_000_000
    """Gas limit of a call with the gas operand of Solidity's transfer() and send()."""
    operands: OperandPrices = FILECOIN_OPERANDS
    """Dynamic gas of exponents and divisions."""
    family: str = "filecoin"
    """The family of opcode variants that engines use: those of the official actor."""
    reserved: frozenset[EthAddress] = frozenset()
    """Addresses outside the pattern that are reserved for precompiles."""
    registered: Mapping[str, Precompile] = MappingProxyType({})
    """Users' precompiles by their names in `precompiles`."""

    def copy_gas(self, size: int) -> int:
        """Return the EVM gas for copying `size` bytes within memory."""
        return size // self.copied_bytes_per_gas

    def is_reserved(self, address: EthAddress) -> bool:
        """Return True if an address is reserved for precompiles, implemented or not."""
        if any(address[1:19]):
            return address in self.reserved
        return address[0] in (0, FILECOIN_PREFIX) and address[19] != 0


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
    return rules._replace(
        gas_rate=work_at(prices, rules.gas_rate),
        analysis_price=work_at(prices, rules.analysis_price),
        node_price=work_at(prices, rules.node_price),
        node_read_price=work_at(prices, rules.node_read_price),
        node_write_price=work_at(prices, rules.node_write_price),
        call_price=work_at(prices, rules.call_price),
        path_bit_price=work_at(prices, rules.path_bit_price),
    )


def rules_with(network: NetworkVersion, table: PrecompileTable) -> EvmRules:
    """Return the rules of a network version with users' precompiles added."""
    rules = filecoin_evm_rules(network)
    return rules._replace(
        precompiles=precompiles_with(rules.precompiles, table),
        reserved=rules.reserved.union(map(EthAddress, table.by_address)),
        registered=MappingProxyType(table.by_name),
    )
