"""Ethereum's forks. Each is defined by its changes to the previous one.

A fork defines the opcodes with their static gas, the precompiles, the types and costs of transactions, and the fields
of a block. Rules: the Ethereum execution specifications of each fork; EIP-7691 and EIP-7892 for the numbers of blobs.
"""

from collections.abc import Collection, Mapping
from enum import Enum, auto
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import CODE_LIMIT_OF_FORK, MAX_CODE_SIZE, EthereumBlock
from bridge.ethereum.transactions import ACCESS_LIST, BLOB, DYNAMIC_FEE, GAS_PER_BLOB, LEGACY, SET_CODE
from hypervisor.errors import InvalidInput
from hypervisor.precompiles import Precompile, PrecompileTable
from runtimes.evm.contracts import gas_table
from runtimes.evm.contracts.gas_table import CANCUN_GAS, GasTable, OperandPrices, words
from runtimes.evm.contracts.opcodes import Opcode
from runtimes.evm.contracts.rules import BLS12_381_SLOTS, ETHEREUM_SLOTS, precompile_address, precompiles_with
from runtimes.evm.forks import fork_opcodes as opcodes
from runtimes.evm.forks import proposals

_ETHER: Final = 10**18


class DifficultyRule(Enum):
    """Dependence of the difficulty on the time since the parent block (`difficulty.block_difficulty`)."""

    STEPS = auto()
    """One step up or down (Frontier)."""
    PROPORTIONAL = auto()
    """Proportional to the time (EIP-2)."""
    WITH_OMMERS = auto()
    """Proportional to the time, and higher if the parent has ommers (EIP-100)."""


class BlobSchedule(NamedTuple):
    """Target and maximum number of blobs per block, and the update fraction of the blob base fee.

    `per_transaction` is the maximum per transaction, or None if only the block has one.
    """

    target: int
    maximum: int
    update_fraction: int
    per_transaction: int | None = None


NO_BLOBS: Final = BlobSchedule(0, 0, 3_338_477)
"""The schedule of the forks before Cancun."""


class Fork(NamedTuple):
    """One set of Ethereum's rules. Gas in Ethereum gas, sizes in bytes, amounts in wei."""

    name: str
    opcodes: Mapping[int, Opcode]
    precompiles: Mapping[EthAddress, str]
    spec: int = 0
    """Number of revm's `SpecId` whose rules hold in a session, apart from opcodes and prices (`guest_rules`)."""
    blobs: BlobSchedule = NO_BLOBS
    gas: GasTable = CANCUN_GAS
    """Dynamic gas prices of opcodes."""
    resource_gas: bool = False
    """True if a transaction pays for its receiver and its value (EIP-2780)."""
    transaction_base: int = 21_000
    """Price of any transaction."""
    create_access: int = 32_000
    """Additional price of a transaction that creates a contract (EIP-2, EIP-2780)."""
    receiver_access: int = 0
    """Additional price of a transaction to another account than the sender (EIP-2780)."""
    value_transfer: int = 0
    """Price of a value transfer to another account (EIP-2780)."""
    calldata_nonzero: int = 16
    """Price of a non-zero byte of calldata (EIP-2028)."""
    access_list_address: int = 2400
    """Price of an address in an access list (EIP-2930)."""
    access_list_slot: int = 1900
    """Price of a slot in an access list (EIP-2930)."""
    access_list_byte: int = 0
    """Price per byte of access-list data; also part of the floor (EIP-7981)."""
    floor_zero: int = 10
    """Floor price of a zero byte of calldata (EIP-7623)."""
    floor_nonzero: int = 40
    """Floor price of a non-zero byte of calldata (EIP-7623)."""
    refund_quotient: int = 5
    """Divisor that limits the refund: at most the used gas divided by it (EIP-3529)."""
    transaction_types: tuple[int, ...] = (LEGACY,)
    low_signatures: bool = True
    """True if a signature's s is at most half the curve's order (EIP-2)."""
    pays_for_creation: bool = True
    """True if a creation without enough gas for its code fails (EIP-2); otherwise the contract has no code."""
    keeps_64th: bool = True
    """True if a caller retains 1/64 of its gas (EIP-150); otherwise a call for more gas than is left fails."""
    replay_protection: bool = True
    """True if signatures may contain a chain ID (EIP-155)."""
    clears_empty: bool = True
    """True if empty accounts are removed and new contracts have nonce 1 (EIP-161)."""
    code_limit: int | None = MAX_CODE_SIZE
    """Maximum size of a contract's code (EIP-170), or None."""
    receipt_status: bool = True
    """True if a receipt has a status (EIP-658) instead of a state root."""
    reserves_0xef: bool = True
    """True if new code may not begin with the byte 0xEF (EIP-3541)."""
    has_base_fee: bool = True
    """True if blocks have a base fee (EIP-1559)."""
    proof_of_stake: bool = True
    """True if blocks have neither difficulty nor ommers (EIP-3675)."""
    block_reward: int = 0
    """Reward of a block's coinbase under proof of work."""
    bomb_delay: int = 0
    """Number of blocks by which the difficulty bomb is delayed."""
    difficulty_rule: DifficultyRule = DifficultyRule.WITH_OMMERS
    """The formula of a block's difficulty under proof of work."""
    warm_coinbase: bool = True
    """True if the coinbase address is warm at the start of a transaction (EIP-3651)."""
    withdrawals: bool = True
    """True if blocks have withdrawals (EIP-4895)."""
    init_code_limit: int | None = 2 * MAX_CODE_SIZE
    """Maximum size of init code (EIP-3860), or None."""
    beacon_root: bool = True
    """True if blocks have blobs and the root of their beacon block (EIP-4844, EIP-4788)."""
    destroys_new_only: bool = True
    """True if SELFDESTRUCT only removes contracts of the same transaction (EIP-6780)."""
    burns_balance: bool = True
    """True if SELFDESTRUCT burns the balance of a removed contract, False if its account keeps it (EIP-8246)."""
    transfer_logs: bool = False
    """True if a transfer of value emits a log (EIP-7708)."""
    gas_before_refunds: bool = False
    """True if a block counts gas before refunds (EIP-7778)."""
    builder_requests: bool = False
    """True if blocks carry the requests of builders (EIP-8282)."""
    calldata_floor: bool = False
    """True if a transaction pays at least a floor price for its calldata (EIP-7623)."""
    delegations: bool = False
    """True if accounts can delegate to a contract's code (EIP-7702)."""
    block_hash_contract: bool = False
    """True if a contract stores block hashes (EIP-2935)."""
    requests: bool = False
    """True if blocks carry requests to the consensus layer (EIP-7685)."""
    transaction_gas_cap: int | None = None
    """Maximum gas limit of a transaction (EIP-7825), or None."""
    state_gas: bool = False
    """True if new state is paid with state gas (EIP-8037)."""
    execution_gas_cap: int | None = None
    """Maximum execution gas of a transaction with state gas (EIP-8037), or None if only the gas limit applies."""
    authorization: int = 25_000
    """Price of an authorization (EIP-7702)."""
    account_write: int = 0
    """Price of the first write to an account that an authorization changes (EIP-8038)."""
    block_size_limit: int | None = None
    """Maximum size of an encoded block (EIP-7934), or None."""
    repriced_modexp: bool = True
    """True if MODEXP has the price of EIP-2565 or later."""
    bounded_modexp: bool = False
    """True if the operands of MODEXP are limited and its price is higher (EIP-7823, EIP-7883)."""
    cell_proofs: bool = False
    """True if blob transactions are sent with proofs of the blobs' cells (EIP-7594)."""
    bounded_blob_fee: bool = False
    """True if the blob base fee has a lower bound derived from the base fee (EIP-7918)."""
    access_lists: bool = False
    """True if a header has the hash of the block's access list (EIP-7928)."""
    slot_number: bool = False
    """True if a header has the slot number (EIP-7843)."""
    slots_collide: bool = True
    """True if no contract is created at an address with slots only (EIP-7610), which Amsterdam does not have."""
    draft_date: str = ""
    """Date of the specification that the fork follows if it may still change, else empty."""
    family: str = "ethereum"
    """The family of opcode variants that engines use."""
    registered: Mapping[str, Precompile] = MappingProxyType({})
    """Users' precompiles by their names in `precompiles`."""

    @property
    def creation_returns(self) -> bool:
        """True: a creation sets the return data."""
        return True

    @property
    def operands(self) -> OperandPrices:
        """Dynamic gas of exponents."""
        return OperandPrices((self.gas.exp_byte, 0, 0))

    @property
    def header_fields(self) -> tuple[str, ...]:
        """The names of the header fields added after Frontier, in order (`runtimes.evm.blocks.headers`)."""
        groups = (
            (self.has_base_fee, ("base_fee",)),
            (self.withdrawals, ("withdrawals_root",)),
            (self.beacon_root, ("blob_gas_used", "excess_blob_gas", "beacon_root")),
            (self.requests, ("requests_hash",)),
            (self.access_lists, ("access_list_hash",)),
            (self.slot_number, ("slot_number",)),
        )
        return tuple(name for has, names in groups if has for name in names)

    def copy_gas(self, size: int) -> int:
        """Return the gas for copying `size` bytes within memory."""
        return self.gas.copy_word * words(size)

    def successor(self, name: str, **changes: Any) -> "Fork":
        return self._replace(name=name, **changes)


def _precompiles(*tables: Mapping[int, str]) -> Mapping[EthAddress, str]:
    return MappingProxyType({precompile_address(0, index): name for table in tables for index, name in table.items()})


def _first(count: int) -> Mapping[EthAddress, str]:
    return _precompiles({index: name for index, name in ETHEREUM_SLOTS.items() if index <= count})


_CANCUN_SLOTS: Final = {**ETHEREUM_SLOTS, 10: "point_evaluation"}

FRONTIER: Final = Fork(
    "Frontier",
    opcodes=opcodes.FRONTIER_OPCODES,
    precompiles=_first(4),
    gas=GasTable(
        exp_byte=10,
        cold_account=0,
        cold_slot=0,
        cold_write=0,
        warm=0,
        reset_slot=5000,
        clear_refund=15_000,
        init_code_word=0,
        bn254_add=500,
        bn254_mul=40_000,
        bn254_pairing_base=100_000,
        bn254_pairing_pair=80_000,
        net_slots=0,
        dirty_slot=0,
        slot_sentry=0,
        destroy_refund=24_000,
        heir_account=0,
    ),
    create_access=0,
    calldata_nonzero=68,
    refund_quotient=2,
    low_signatures=False,
    pays_for_creation=False,
    keeps_64th=False,
    replay_protection=False,
    clears_empty=False,
    code_limit=None,
    receipt_status=False,
    reserves_0xef=False,
    has_base_fee=False,
    proof_of_stake=False,
    block_reward=5 * _ETHER,
    difficulty_rule=DifficultyRule.STEPS,
    warm_coinbase=False,
    withdrawals=False,
    init_code_limit=None,
    beacon_root=False,
    destroys_new_only=False,
    repriced_modexp=False,
)
HOMESTEAD: Final = FRONTIER.successor(
    "Homestead",
    spec=1,
    opcodes=opcodes.HOMESTEAD_OPCODES,
    create_access=32_000,
    low_signatures=True,
    pays_for_creation=True,
    difficulty_rule=DifficultyRule.PROPORTIONAL,
)
TANGERINE_WHISTLE: Final = HOMESTEAD.successor(
    "TangerineWhistle",
    spec=2,
    opcodes=opcodes.TANGERINE_WHISTLE_OPCODES,
    gas=HOMESTEAD.gas._replace(heir_account=25_000),
    keeps_64th=True,
)
SPURIOUS_DRAGON: Final = TANGERINE_WHISTLE.successor(
    "SpuriousDragon",
    spec=3,
    gas=TANGERINE_WHISTLE.gas._replace(exp_byte=50),
    replay_protection=True,
    clears_empty=True,
    code_limit=MAX_CODE_SIZE,
)
BYZANTIUM: Final = SPURIOUS_DRAGON.successor(
    "Byzantium",
    spec=4,
    opcodes=opcodes.BYZANTIUM_OPCODES,
    precompiles=_first(8),
    receipt_status=True,
    block_reward=3 * _ETHER,
    bomb_delay=3_000_000,
    difficulty_rule=DifficultyRule.WITH_OMMERS,
)
CONSTANTINOPLE: Final = BYZANTIUM.successor(
    "Constantinople",
    spec=5,
    opcodes=opcodes.CONSTANTINOPLE_OPCODES,
    gas=BYZANTIUM.gas._replace(net_slots=1, dirty_slot=200),  # EIP-1283
    block_reward=2 * _ETHER,
    bomb_delay=5_000_000,
)
PETERSBURG: Final = CONSTANTINOPLE.successor("Petersburg", gas=BYZANTIUM.gas)  # EIP-1716
ISTANBUL: Final = PETERSBURG.successor(
    "Istanbul",
    spec=6,
    opcodes=opcodes.ISTANBUL_OPCODES,
    precompiles=_first(9),
    gas=PETERSBURG.gas._replace(
        net_slots=1,
        dirty_slot=800,
        slot_sentry=2300,
        bn254_add=150,
        bn254_mul=6000,
        bn254_pairing_base=45_000,
        bn254_pairing_pair=34_000,
    ),
    calldata_nonzero=16,
)
MUIR_GLACIER: Final = ISTANBUL.successor("MuirGlacier", bomb_delay=9_000_000)
BERLIN: Final = MUIR_GLACIER.successor(
    "Berlin",
    spec=7,
    opcodes=opcodes.BERLIN_OPCODES,
    gas=MUIR_GLACIER.gas._replace(
        cold_account=2600, cold_slot=2100, cold_write=2100, warm=100, reset_slot=2900, dirty_slot=100
    ),
    transaction_types=(LEGACY, ACCESS_LIST),
    repriced_modexp=True,
)
LONDON: Final = BERLIN.successor(
    "London",
    spec=8,
    opcodes=opcodes.LONDON_OPCODES,
    gas=BERLIN.gas._replace(clear_refund=4800, destroy_refund=0),
    refund_quotient=5,
    transaction_types=(LEGACY, ACCESS_LIST, DYNAMIC_FEE),
    reserves_0xef=True,
    has_base_fee=True,
    bomb_delay=9_700_000,
)
ARROW_GLACIER: Final = LONDON.successor("ArrowGlacier", bomb_delay=10_700_000)
GRAY_GLACIER: Final = ARROW_GLACIER.successor("GrayGlacier", bomb_delay=11_400_000)
PARIS: Final = GRAY_GLACIER.successor(
    "Paris", spec=9, opcodes=opcodes.PARIS_OPCODES, proof_of_stake=True, block_reward=0, bomb_delay=0
)
SHANGHAI: Final = PARIS.successor(
    "Shanghai",
    spec=10,
    opcodes=opcodes.SHANGHAI_OPCODES,
    gas=PARIS.gas._replace(init_code_word=2),
    warm_coinbase=True,
    withdrawals=True,
    init_code_limit=2 * MAX_CODE_SIZE,
)
CANCUN: Final = SHANGHAI.successor(
    "Cancun",
    spec=11,
    opcodes=opcodes.CANCUN_OPCODES,
    precompiles=_precompiles(_CANCUN_SLOTS),
    transaction_types=(LEGACY, ACCESS_LIST, DYNAMIC_FEE, BLOB),
    blobs=BlobSchedule(3, 6, 3_338_477),
    beacon_root=True,
    destroys_new_only=True,
)
PRAGUE: Final = CANCUN.successor(
    "Prague",
    spec=12,
    precompiles=_precompiles(_CANCUN_SLOTS, BLS12_381_SLOTS),
    transaction_types=(LEGACY, ACCESS_LIST, DYNAMIC_FEE, BLOB, SET_CODE),
    blobs=BlobSchedule(6, 9, 5_007_716),
    calldata_floor=True,
    delegations=True,
    block_hash_contract=True,
    requests=True,
)
OSAKA: Final = PRAGUE.successor(
    "Osaka",
    spec=13,
    opcodes=opcodes.OSAKA_OPCODES,
    precompiles=_precompiles(_CANCUN_SLOTS, BLS12_381_SLOTS, {0x100: "p256_verify"}),
    blobs=PRAGUE.blobs._replace(per_transaction=6),
    transaction_gas_cap=1 << 24,
    block_size_limit=(10 << 20) - (2 << 20),
    bounded_modexp=True,
    cell_proofs=True,
    bounded_blob_fee=True,
)
BPO1: Final = OSAKA.successor("BPO1", blobs=OSAKA.blobs._replace(target=10, maximum=15, update_fraction=8_346_193))
BPO2: Final = BPO1.successor("BPO2", blobs=BPO1.blobs._replace(target=14, maximum=21, update_fraction=11_684_671))


_AMSTERDAM_SPEC: Final = 14
_REVM_AMSTERDAM: Final = frozenset((2780, 7708, 8037, 8038, 8246))
"""Proposals that revm has together only: the rules of its `SpecId::AMSTERDAM`, apart from opcodes and prices."""


def with_proposals(fork: Fork, name: str, numbers: Collection[int]) -> Fork:
    """Return a fork with proposals added, in the order of their numbers."""
    for number in sorted(numbers):
        proposal = proposals.PROPOSALS[number]
        fork = fork.successor(
            name,
            opcodes=opcodes.with_opcodes(fork.opcodes, proposal.opcodes),
            gas=fork.gas._replace(**proposal.gas),
            **proposal.rules,
        )
    if set(numbers) >= _REVM_AMSTERDAM:
        fork = fork._replace(spec=_AMSTERDAM_SPEC)
    return fork


AMSTERDAM: Final = with_proposals(BPO2, "Amsterdam", proposals.AMSTERDAM)._replace(
    slot_number=True,
    # https://github.com/ethereum/execution-specs/releases/tag/tests-glamsterdam-devnet%40v8.1.2 and pull request 3508
    slots_collide=False,
    draft_date=proposals.DATE,
)

FORKS: Final[Mapping[str, Fork]] = MappingProxyType({
    fork.name: fork
    for fork in (
        FRONTIER, HOMESTEAD, TANGERINE_WHISTLE, SPURIOUS_DRAGON, BYZANTIUM, CONSTANTINOPLE, PETERSBURG, ISTANBUL,
        MUIR_GLACIER, BERLIN, LONDON, ARROW_GLACIER, GRAY_GLACIER, PARIS, SHANGHAI, CANCUN, PRAGUE, OSAKA, BPO1, BPO2,
        AMSTERDAM,
    )
})  # fmt: skip
"""Forks by name, oldest first."""
ALIASES: Final[Mapping[str, str]] = MappingProxyType({
    "EIP150": "TangerineWhistle", "EIP158": "SpuriousDragon", "ConstantinopleFix": "Petersburg", "Merge": "Paris",
})  # fmt: skip
"""Other names of forks, used by the fixtures of ethereum/tests and by go-ethereum."""
LATEST_FORK: Final = OSAKA
"""The default fork. The forks after it only change the numbers of blobs, or are drafts."""
DELEGATING_CANCUN: Final = PRAGUE.successor(
    "Cancun+EIP-7702", spec=CANCUN.spec, precompiles=CANCUN.precompiles, calldata_floor=False
)
"""Cancun with EIP-7702 delegation, for Solidity tests compiled for Cancun; forge enables delegation in all versions."""
TEST_SHANGHAI: Final = DELEGATING_CANCUN.successor(
    "Shanghai+EIP-7702", spec=SHANGHAI.spec, opcodes=opcodes.SHANGHAI_OPCODES, precompiles=SHANGHAI.precompiles
)
"""Shanghai's opcodes, precompiles and transaction gas, for Solidity tests compiled for Shanghai."""
TEST_PARIS: Final = TEST_SHANGHAI.successor(
    "Paris+EIP-7702",
    spec=PARIS.spec,
    opcodes=opcodes.PARIS_OPCODES,
    gas=PRAGUE.gas._replace(init_code_word=0),
    warm_coinbase=False,
)
"""`TEST_SHANGHAI` without PUSH0, gas per word of init code (EIP-3860) and a warm coinbase (EIP-3651)."""
_BPO3: Final = BPO2.successor("BPO3", blobs=BPO2.blobs._replace(target=21, maximum=32, update_fraction=20_609_697))
_BPO4: Final = _BPO3.successor("BPO4", blobs=BPO2.blobs._replace(update_fraction=13_739_630))
_FOR_FIXTURES: Final[Mapping[str, Fork]] = MappingProxyType({fork.name: fork for fork in (_BPO3, _BPO4)})
"""Forks that only the fixtures of go-ethereum and of the execution specifications use."""
_FOR_TESTS: Final[Mapping[str, Fork]] = MappingProxyType(
    {fork.name: fork for fork in (TEST_PARIS, TEST_SHANGHAI, DELEGATING_CANCUN)}
)


def code_limits(block: EthereumBlock, fork: Fork) -> tuple[int | None, int | None]:
    """Return the maximum sizes of code and of init code in bytes, each None if unlimited.

    A block's own limit overrides that of the fork. The limit of init code is then twice as high.
    """
    if block.code_limit == CODE_LIMIT_OF_FORK:
        return fork.code_limit, fork.init_code_limit
    return block.code_limit, None if block.code_limit is None else 2 * block.code_limit


def fork_names() -> tuple[str, ...]:
    """Return the names of the forks, oldest first."""
    return tuple(FORKS)


def find_fork(name: str) -> Fork | None:
    """Return the fork of this name or alias, or None.

    This includes forks that only fixtures use, and forks with proposals (`Osaka+8024`), in go-ethereum's spelling.
    Raises InvalidInput for an unknown proposal, or one without another that it requires.
    """
    found = FORKS.get(ALIASES.get(name, name)) or _FOR_FIXTURES.get(name)
    if found is not None or "+" not in name:
        return found
    before, *numbers = name.split("+")
    fork = find_fork(before)
    if fork is None or not all(map(_is_proposal_number, numbers)):
        return None
    chosen = {int(number) for number in numbers}
    unknown = sorted(chosen - proposals.PROPOSALS.keys())
    if unknown:
        raise InvalidInput(
            f"proposal {unknown[0]} of the fork '{name}' is not known: choose proposals as in Osaka+8024"
            f" ({_proposal_numbers()})"
        )
    missing = next((number for number in proposals.COMBINED if number not in chosen), None)
    other = next((number for number in proposals.COMBINED if number in chosen), None)
    if missing is not None and other is not None:
        whole = "+".join(map(str, sorted(chosen.union(proposals.COMBINED))))
        raise InvalidInput(f"EIP-{other} requires EIP-{missing}: use {before}+{whole}")
    return with_proposals(fork, name, chosen)


def _is_proposal_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5


def list_forks() -> str:
    """Return the names of all forks for an error text, with aliases in parentheses."""
    others = {fork: alias for alias, fork in ALIASES.items()}
    names = ", ".join(f"{name} ({others[name]})" if name in others else name for name in (*FORKS, *_FOR_FIXTURES))
    return f"{names}; with a proposal as in Osaka+8024 ({_proposal_numbers()})"


def _proposal_numbers() -> str:
    return ", ".join(map(str, sorted(proposals.PROPOSALS)))


def with_case(name: str) -> str:
    """Return a fork's name with its usual capitalisation; a transition or unknown name is returned unchanged."""
    fork, plus, proposals = name.partition("+")
    return next((known for known in (*FORKS, *ALIASES) if known.lower() == fork.lower()), fork) + plus + proposals


def fork_named(name: str) -> Fork:
    """Return the fork of this name, or the latest if the name is empty. Raises InvalidInput."""
    if not name:
        return LATEST_FORK
    found = find_fork(name) or _FOR_TESTS.get(name)
    if found is None:
        raise InvalidInput(f"fork '{name}' is not known: choose one of {list_forks()}")
    return found


@lru_cache(64)
def fork_with(name: str, table: PrecompileTable | None) -> Fork:
    """Return the fork of this name with users' precompiles added to its own. Raises InvalidInput."""
    fork = fork_named(name)
    if table is None:
        return fork
    precompiles = precompiles_with(fork.precompiles, table)
    return fork._replace(precompiles=precompiles, registered=MappingProxyType(table.by_name))


_BLOB_BASE_COST: Final = 1 << 13


class ForkBlobs(NamedTuple):
    """A fork's rules of blobs (`bridge.ethereum.execution.BlobRules`)."""

    fork: Fork

    @property
    def maximum(self) -> int:
        return self.fork.blobs.maximum

    @property
    def maximum_per_transaction(self) -> int:
        limit = self.fork.blobs.per_transaction
        return self.fork.blobs.maximum if limit is None else limit

    @property
    def has_cell_proofs(self) -> bool:
        """True if a blob comes with proofs of its cells (EIP-7594), not with one of its own."""
        return self.fork.cell_proofs

    def base_fee(self, excess: int) -> int:
        """Return the blob base fee of a block with this excess of blob gas."""
        return _base_fee(excess, self.fork.blobs.update_fraction)

    def next_excess(self, excess: int, blob_gas_used: int, base_fee: int) -> int:
        """Return a block's excess of blob gas from its parent's figures."""
        target, maximum = self.fork.blobs.target * GAS_PER_BLOB, self.fork.blobs.maximum * GAS_PER_BLOB
        if excess + blob_gas_used < target:
            return 0
        if self.fork.bounded_blob_fee and _BLOB_BASE_COST * base_fee > GAS_PER_BLOB * self.base_fee(excess):
            return excess + blob_gas_used * (maximum - target) // maximum
        return excess + blob_gas_used - target


@lru_cache
def _base_fee(excess: int, fraction: int) -> int:
    return gas_table.fake_exponential(gas_table.MIN_BLOB_BASE_FEE, excess, fraction)
