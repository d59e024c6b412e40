"""The initial state of a machine: singletons, burnt funds and requested accounts.

The states of the system and init actors are written directly, since all other constructors depend on them; the machine
then runs the constructors listed by `Genesis.constructors`. Source: lotus chain/gen/genesis.

Recorded states of the embedded bundles' singletons replace runs of their constructors: loading the WASM runtime for
seven constructors takes longer than the rest of opening a network in memory. States are keyed by code, constructor
parameters and syscall names: if one of them changes, the constructor runs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address, Protocol, is_eth_namespace
from hypervisor.state.state_tree import ActorState, InitState, StateTree
from hypervisor.text import one_line, show_fil
from hypervisor.types import (
    ATTO_PER_FIL,
    BURNT_FUNDS_ACTOR,
    CRON_ACTOR,
    DATACAP_ACTOR,
    EAM_ACTOR,
    FIRST_DYNAMIC_ACTOR,
    INIT_ACTOR,
    MARKET_ACTOR,
    MAX_BALANCE,
    POWER_ACTOR,
    REWARD_ACTOR,
    SYSTEM_ACTOR,
    VERIFIED_REGISTRY_ACTOR,
    ActorID,
    TokenAmount,
    check_type,
    encode_bigint,
    whole_number,
)
from hypervisor.versions.network_versions import LATEST, MachineRules
from store.blocks.memory import BufferedStore
from store.blockstore import Blockstore, put_object
from store.cid import EMPTY_ARRAY_CID, Cid, cid_of, parse_cid, show
from store.codec import encode, link
from store.trees.hamt import Hamt

VERIFIED_REGISTRY_ROOT = ActorID(80)
RESERVE_ACTOR = ActorID(90)
REWARD_FUNDS = TokenAmount(1_100_000_000 * ATTO_PER_FIL)
RESERVE_FUNDS = TokenAmount(300_000_000 * ATTO_PER_FIL)

_CRON_TABLE = [[POWER_ACTOR, 5], [MARKET_ACTOR, 9]]


@dataclass(frozen=True, slots=True)
class Genesis:
    """Parameters of an initial state: the network's name, and accounts with their balances in attoFIL.

    Accounts are f1 or f3 addresses (account actors) or f410 addresses (Ethereum accounts); their IDs count up from 100.
    `Hypervisor.open` raises InvalidInput for other addresses, and for balances below 0 or above 2^256 - 1 attoFIL.
    Arguments of other types raise TypeError.

    >>> from hypervisor import Address, Genesis, Hypervisor, fil
    >>> bob = Address.delegated(10, bytes.fromhex("b0b0000000000000000000000000000000000002"))
    >>> with Hypervisor.open(genesis=Genesis(accounts={bob: fil(5)})) as machine:
    ...     print(machine.balance(Address.id(100)))
    5 FIL
    """

    network_name: str = "localnet"
    accounts: Mapping[Address, TokenAmount] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_type(self.network_name, str, "network_name", "text")
        check_type(self.accounts, Mapping, "accounts", "a mapping from addresses to amounts in attoFIL")
        for address, balance in self.accounts.items():
            check_type(address, Address, "an address of accounts", "an Address; Address.parse reads text")
            check_type(balance, int, "a balance of accounts", "a whole number of attoFIL; fil(1) is 1 FIL")

    def cid(self) -> Cid:
        """Return the CID of the name and the accounts, which identifies the genesis in a folder's record."""
        accounts = [[address.to_bytes(), encode_bigint(int(balance))] for address, balance in self.accounts.items()]
        return cid_of(encode([self.network_name, accounts]))

    def record(self) -> bytes:
        """Return the folder's record of its genesis: its repr, for error messages, and its CID."""
        return encode([repr(self), link(self.cid())])

    def __repr__(self) -> str:
        funds = show_fil(sum(self.accounts.values()))
        return one_line("Genesis", self.network_name, f"{len(self.accounts)} accounts with {funds}")

    @staticmethod
    def constructors() -> Iterator[tuple[ActorID, bytes]]:
        """Iterate over the singletons whose constructors must run, with their parameters."""
        cron = [[Address.id(actor).to_bytes(), method] for actor, method in _CRON_TABLE]
        yield REWARD_ACTOR, encode(encode_bigint(0))
        yield CRON_ACTOR, encode([cron])
        yield POWER_ACTOR, b""
        yield MARKET_ACTOR, b""
        yield VERIFIED_REGISTRY_ACTOR, encode(Address.id(VERIFIED_REGISTRY_ROOT).to_bytes())
        yield DATACAP_ACTOR, encode(Address.id(VERIFIED_REGISTRY_ACTOR).to_bytes())
        yield EAM_ACTOR, b""


_SINGLETONS = (
    (REWARD_ACTOR, "reward", REWARD_FUNDS),
    (CRON_ACTOR, "cron", TokenAmount(0)),
    (POWER_ACTOR, "storagepower", TokenAmount(0)),
    (MARKET_ACTOR, "storagemarket", TokenAmount(0)),
    (VERIFIED_REGISTRY_ACTOR, "verifiedregistry", TokenAmount(0)),
    (DATACAP_ACTOR, "datacap", TokenAmount(0)),
    (EAM_ACTOR, "eam", TokenAmount(0)),
)

_SYSTEM_ACCOUNTS = (
    (VERIFIED_REGISTRY_ROOT, TokenAmount(0)),
    (RESERVE_ACTOR, RESERVE_FUNDS),
    (BURNT_FUNDS_ACTOR, TokenAmount(0)),
)


def build_genesis(
    store: BufferedStore, manifest: Manifest, genesis: Genesis, rules: MachineRules = LATEST.rules
) -> Cid:
    """Write the initial state before any constructor has run, and return its root."""
    tree = StateTree.empty(store)
    tree.set_actor(SYSTEM_ACTOR, ActorState(manifest.code("system"), put_object(store, [link(manifest.data)])))
    installed = put_object(store, []) if rules.installs_code else None
    init = InitState(Hamt(store, None, 5).flush(), FIRST_DYNAMIC_ACTOR, genesis.network_name, installed)
    tree.set_actor(INIT_ACTOR, ActorState(manifest.code("init"), put_object(store, init.fields())))
    for actor, name, balance in _SINGLETONS:
        tree.set_actor(actor, ActorState(manifest.code(name), EMPTY_ARRAY_CID, balance=balance))
    for actor, balance in _SYSTEM_ACCOUNTS:
        head = put_object(store, [Address.id(actor).to_bytes()])
        tree.set_actor(actor, ActorState(manifest.code("account"), head, balance=balance))
    for address, balance in genesis.accounts.items():
        amount = whole_number(balance, "a balance", 0, MAX_BALANCE, unit="attoFIL")
        _add_account(tree, manifest, address, TokenAmount(amount))
    return tree.flush()


def _add_account(tree: StateTree, manifest: Manifest, address: Address, balance: TokenAmount) -> None:
    if address.protocol in (Protocol.SECP256K1, Protocol.BLS):
        head = put_object(tree.store, [address.to_bytes()])
        tree.set_actor(tree.register_address(address), ActorState(manifest.code("account"), head, balance=balance))
    elif is_eth_namespace(address):
        state = ActorState(manifest.code("ethaccount"), balance=balance, delegated_address=address)
        tree.set_actor(tree.register_address(address), state)
    else:
        raise InvalidInput(f"{address} cannot be an account: expected f1, f3 or f410")


def constructor_key(code: Cid, params: bytes, abi: str) -> str:
    """Return the key of a constructor's run: the CID of the code's CID, the parameters and the name of the syscalls."""
    return show(cid_of(encode([link(code), params, abi])))


def store_constructed_state(store: Blockstore, code: Cid, params: bytes, abi: str) -> Cid | None:
    """Store the state that a constructor writes and return its CID; None if it is not recorded."""
    from hypervisor.builtin_actors.loader import constructed_states

    recorded = constructed_states()
    head = recorded.heads.get(constructor_key(code, params, abi))
    if head is None:
        return None
    store.put_many((cid_of(block), block) for block in recorded.blocks)
    return parse_cid(head)
