"""The EIPs of each fork and the prices and rules that each of them changes, to name the EIP of a difference.

A change has the name of an opcode (`SLOAD`), of a field of `GasTable` or `Fork`, or of a precompile
(`precompiles.modexp`). Forks that consist of numbered proposals have their changes in `proposals`.
Sources: the meta EIP of each fork, and EIP-7773 for Amsterdam.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from hypervisor.versions.changes import RuleChange
from runtimes.evm.contracts.opcodes import opcode_rows
from runtimes.evm.forks.forks import FORKS, Fork
from runtimes.evm.forks.proposals import AMSTERDAM, PROPOSALS

_PREFIX: Final = "precompiles."
_CURVES: Final = (
    "precompiles.bls12_g1add precompiles.bls12_g1msm precompiles.bls12_g2add precompiles.bls12_g2msm "
    "precompiles.bls12_pairing_check precompiles.bls12_map_fp_to_g1 precompiles.bls12_map_fp2_to_g2"
)

FORK_EIPS: Final[Mapping[str, Mapping[int, str]]] = MappingProxyType({
    "Homestead": {2: "create_access low_signatures pays_for_creation difficulty_rule", 7: "DELEGATECALL"},
    "TangerineWhistle": {
        150: "BALANCE EXTCODESIZE EXTCODECOPY SLOAD CALL CALLCODE DELEGATECALL SELFDESTRUCT heir_account keeps_64th",
    },
    "SpuriousDragon": {155: "replay_protection", 160: "exp_byte", 161: "clears_empty", 170: "code_limit"},
    "Byzantium": {
        100: "difficulty_rule", 140: "REVERT", 196: "precompiles.bn254_add precompiles.bn254_mul",
        197: "precompiles.bn254_pairing", 198: "precompiles.modexp", 211: "RETURNDATASIZE RETURNDATACOPY",
        214: "STATICCALL", 649: "block_reward bomb_delay", 658: "receipt_status",
    },
    "Constantinople": {
        145: "SHL SHR SAR", 1014: "CREATE2", 1052: "EXTCODEHASH", 1234: "block_reward bomb_delay",
        1283: "net_slots dirty_slot",
    },
    "Petersburg": {1716: "net_slots dirty_slot"},
    "Istanbul": {
        152: "precompiles.blake2f", 1108: "bn254_add bn254_mul bn254_pairing_base bn254_pairing_pair", 1344: "CHAINID",
        1884: "BALANCE EXTCODEHASH SLOAD SELFBALANCE", 2028: "calldata_nonzero",
        2200: "net_slots dirty_slot slot_sentry",
    },
    "MuirGlacier": {2384: "bomb_delay"},
    "Berlin": {
        2565: "repriced_modexp",
        2929: "BALANCE EXTCODESIZE EXTCODECOPY EXTCODEHASH SLOAD CALL CALLCODE DELEGATECALL STATICCALL cold_account "
              "cold_slot cold_write warm reset_slot dirty_slot",
        2930: "transaction_types",
    },
    "London": {
        1559: "has_base_fee transaction_types", 3198: "BASEFEE", 3529: "clear_refund destroy_refund refund_quotient",
        3541: "reserves_0xef", 3554: "bomb_delay",
    },
    "ArrowGlacier": {4345: "bomb_delay"},
    "GrayGlacier": {5133: "bomb_delay"},
    "Paris": {3675: "proof_of_stake block_reward bomb_delay", 4399: "DIFFICULTY PREVRANDAO"},
    "Shanghai": {3651: "warm_coinbase", 3855: "PUSH0", 3860: "init_code_word init_code_limit", 4895: "withdrawals"},
    "Cancun": {
        1153: "TLOAD TSTORE", 4788: "beacon_root",
        4844: "BLOBHASH precompiles.point_evaluation transaction_types blobs beacon_root", 5656: "MCOPY",
        6780: "destroys_new_only", 7516: "BLOBBASEFEE",
    },
    "Prague": {
        2537: _CURVES, 2935: "block_hash_contract", 7623: "calldata_floor", 7685: "requests", 7691: "blobs",
        7702: "delegations transaction_types",
    },
    "Osaka": {
        7594: "cell_proofs blobs", 7823: "bounded_modexp", 7825: "transaction_gas_cap", 7883: "bounded_modexp",
        7918: "bounded_blob_fee", 7934: "block_size_limit", 7939: "CLZ", 7951: "precompiles.p256_verify",
    },
    "BPO1": {7892: "blobs"},
    "BPO2": {7892: "blobs"},
    "Amsterdam": {7610: "slots_collide", 7843: "slot_number"},
})  # fmt: skip
"""Changes by fork and EIP, in addition to those of `proposals`."""

_MEMORY: Final = "memory_word memory_quotient"
_CODE: Final = "cold_account warm"
_COPY: Final = f"copy_word {_MEMORY}"
_CALL: Final = f"{_CODE} delegations keeps_64th {_MEMORY}"
_CREATE: Final = (
    "slots_collide init_code_word init_code_limit code_byte code_word code_limit reserves_0xef state_byte "
    f"account_bytes keeps_64th clears_empty {_MEMORY}"
)
_SLOT: Final = "net_slots cold_write dirty_slot set_slot reset_slot clear_refund slot_sentry state_byte slot_bytes"
_OPCODE_PRICES: Final[Mapping[str, str]] = MappingProxyType({
    "EXP": "exp_byte", "KECCAK256": f"keccak_word {_MEMORY}", "BALANCE": _CODE, "EXTCODEHASH": _CODE,
    "EXTCODESIZE": f"{_CODE} code_read", "EXTCODECOPY": f"{_CODE} code_read {_COPY}",
    "CALLDATACOPY": _COPY, "CODECOPY": _COPY, "RETURNDATACOPY": _COPY, "MCOPY": _COPY,
    "MLOAD": _MEMORY, "MSTORE": _MEMORY, "MSTORE8": _MEMORY, "RETURN": _MEMORY, "REVERT": _MEMORY,
    "SLOAD": "cold_slot warm", "SSTORE": _SLOT,
    "CALL": f"call_value call_stipend new_account state_byte account_bytes warm_coinbase transfer_logs {_CALL}",
    "CALLCODE": f"call_value call_stipend {_CALL}", "DELEGATECALL": _CALL, "STATICCALL": _CALL,
    "CREATE": _CREATE, "CREATE2": f"keccak_word {_CREATE}",
    "SELFDESTRUCT": "cold_account heir_account destroy_refund destroys_new_only burns_balance state_byte account_bytes",
    **{f"LOG{number}": f"log_byte {_MEMORY}" for number in range(5)},
})  # fmt: skip
"""Prices and rules that the gas of an opcode depends on, besides its static price."""
_FLOOR: Final = "floor_zero floor_nonzero calldata_floor"
_REFUNDS: Final = "clear_refund refund_quotient destroy_refund"
_TRANSACTION: Final = (
    "transaction_base create_access receiver_access value_transfer calldata_nonzero resource_gas access_list_byte "
    f"transaction_gas_cap execution_gas_cap warm_coinbase {_FLOOR} {_REFUNDS}"
)
"""Prices and rules of a transaction."""


def fork_changes(before: Fork, after: Fork) -> Mapping[str, RuleChange]:
    """Return the changes from one fork to another, by name. One that no EIP of the table makes has no EIP."""
    first, second = _values(before), _values(after)
    mine, others = dict(_eips(before.name)), dict(_eips(after.name))
    is_known = all(fork.name.partition("+")[0] in FORKS for fork in (before, after))
    rows = {eip: names for eip, names in (mine | others).items() if is_known and (eip in mine) != (eip in others)}
    found = {}
    for name in {**first, **second}:
        old, new = first.get(name), second.get(name)
        if old != new:
            eips = sorted({eip for (_, eip), names in rows.items() if name in names})
            found[name] = RuleChange(name, old, new, tuple(f"EIP-{eip}" for eip in eips))
    return MappingProxyType(found)


def _values(fork: Fork) -> dict[str, object]:
    """Return the prices and rules of a fork by name."""
    values: dict[str, object] = {opcode.name: opcode.gas for opcode in fork.opcodes.values()}
    values |= {f"{_PREFIX}{name}": True for name in fork.precompiles.values()}
    values |= fork.gas._asdict()
    rest = ("name", "spec", "opcodes", "precompiles", "gas", "draft_date", "family", "registered")
    return values | {name: value for name, value in fork._asdict().items() if name not in rest}


def _eips(name: str) -> Iterator[tuple[tuple[str, int], frozenset[str]]]:
    """Yield fork, EIP and names of changes, for the EIPs of a fork and of all before it."""
    base, *added = name.split("+")
    for fork in FORKS if base in FORKS else ():
        numbers = AMSTERDAM if fork == "Amsterdam" else ()
        yield from (((fork, number), frozenset(names.split())) for number, names in FORK_EIPS.get(fork, {}).items())
        yield from ((("", number), _of_proposal(number)) for number in numbers)
        if fork == base:
            break
    yield from ((("", int(number)), _of_proposal(int(number))) for number in added if number.isdecimal())


def _of_proposal(number: int) -> frozenset[str]:
    proposal = PROPOSALS[number]
    return frozenset(
        (*(opcode.name for opcode in opcode_rows(proposal.opcodes).values()), *proposal.gas, *proposal.rules)
    )


def changes_of_opcode(changes: Mapping[str, RuleChange], opcode: str) -> tuple[RuleChange, ...]:
    """Return the changes that the gas or the effect of an opcode depends on."""
    return _select(changes, f"{opcode} {_OPCODE_PRICES.get(opcode, '')}")


def changes_of_transaction(changes: Mapping[str, RuleChange]) -> tuple[RuleChange, ...]:
    """Return the changes that the gas of a transaction depends on, besides that of its execution."""
    return _select(changes, _TRANSACTION)


def changes_of_precompile(changes: Mapping[str, RuleChange], name: str) -> tuple[RuleChange, ...]:
    """Return the changes that concern a precompile."""
    prices = (each for each in changes if each.startswith(name) or each.endswith(f"_{name}"))
    return _select(changes, f"{_PREFIX}{name} {' '.join(prices)}")


def changes_of_end(changes: Mapping[str, RuleChange], name: str) -> tuple[RuleChange, ...]:
    """Return the changes of what is charged after a call: `refunds`, or else the minimum for its calldata."""
    return _select(changes, _REFUNDS if name == "refunds" else _FLOOR)


_CREATION_CHARGES: Final[Mapping[str, str]] = MappingProxyType({
    "OnCodeDeposit": "code_byte code_word",
    "OnNewAccount": "new_account state_byte account_bytes",
    "OnStateGas": "state_byte",
})  # fmt: skip
"""Prices of what a frame pays for a new account or new code besides its instructions, by charge."""


def changes_of_creation(changes: Mapping[str, RuleChange], charge: str) -> tuple[RuleChange, ...]:
    """Return the changes that a charge for a new account or new code depends on."""
    return _select(changes, _CREATION_CHARGES[charge])


def _select(changes: Mapping[str, RuleChange], names: str) -> tuple[RuleChange, ...]:
    return tuple(changes[name] for name in names.split() if name in changes)
