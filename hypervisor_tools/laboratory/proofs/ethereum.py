"""Verification of an Ethereum account and its storage by Merkle Patricia proofs (`eth_getProof`, EIP-1186).

The proofs are checked against a state root, and a header against the hash of its block. That the block belongs to the
chain is not checked, since this needs a light client of Ethereum's consensus: the caller must trust the hash or root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, checksummed
from bridge.ethereum.patricia import EMPTY_ROOT, MAX_NODE, MAX_NODES, InvalidProof, proven_value
from bridge.filecoin.evm_state import EMPTY_CODE_HASH
from localnet.fork.response_values import bytes_of, quantity, read_header, word_of
from store.keccak import keccak

T = TypeVar("T")

MAX_SLOTS: Final = 1024
"""Maximum number of slots of a proof, the limit of geth's `eth_getProof`."""
_STATE_ROOT: Final = 3
_FIELDS: Final = 4


@dataclass(frozen=True, slots=True)
class ProvenAccount:
    """A proven account. `balance` is in wei. `slots` are the proven words by slot; missing slots are 0."""

    address: EthAddress
    exists: bool
    nonce: int = 0
    balance: int = 0
    storage_root: bytes = EMPTY_ROOT
    code_hash: bytes = EMPTY_CODE_HASH
    slots: dict[int, int] = field(default_factory=dict)


def verify_account(response: Any, state_root: bytes, wanted: EthAddress | None = None) -> ProvenAccount:
    """Return the account that a response of `eth_getProof` proves for a state root.

    A response that proves the absence of the account or of a slot is valid, too. The response itself names the address
    and the slots: pass `wanted` or compare `address`, and use `check_slots`. Raises InvalidProof: the text names the
    check and the node that fails.
    """
    try:
        if not isinstance(response, Mapping):
            raise TypeError("expected a JSON object")
        if "error" in response:
            raise InvalidProof(f"the node returned an error: {response['error']!r:.200}")
        address = EthAddress(_field("address", partial(word_of, response["address"], 20)))
        if wanted is not None and address != wanted:
            raise InvalidProof(f"address: the proof is for {checksummed(address)}, not for {checksummed(wanted)}")
        account = _account(address, _verify_value("accountProof", state_root, address, response["accountProof"]))
        _check_claims(response, account)
        storage = response["storageProof"]
        if not isinstance(storage, list) or len(storage) > MAX_SLOTS:
            raise ValueError(f"storageProof: expected a list of at most {MAX_SLOTS} slots")
        for index, entry in enumerate(storage):
            name = f"storageProof[{index}]"
            if not isinstance(entry, Mapping):
                raise TypeError(f"{name}: expected a JSON object")
            slot = _field(f"{name}.key", partial(quantity, entry["key"]))
            claimed = _field(f"{name}.value", partial(quantity, entry["value"]))
            found = _verify_value(f"{name}.proof", account.storage_root, slot.to_bytes(32, "big"), entry["proof"])
            value = rlp.read_number(rlp.decode(found)) if found else 0
            if value != claimed:
                raise InvalidProof(f"{name}.value is {claimed:#x}, but the proof shows {value:#x}")
            account.slots[slot] = value
    except InvalidProof:
        raise
    except KeyError as error:
        raise InvalidProof(f"the proof has no field {error}") from None
    except (TypeError, ValueError) as error:
        raise InvalidProof(f"the proof is malformed: {error}") from None
    return account


def check_slots(account: ProvenAccount, slots: Iterable[int]) -> None:
    """Raise InvalidProof if a slot is not among the proven ones. All slots of an absent account are proven to be 0."""
    missing = [slot for slot in slots if account.exists and slot not in account.slots]
    if missing:
        raise InvalidProof(f"storageProof: there is no proof of slot {missing[0]:#x}")


def proven_state_root(block: Any, block_hash: bytes) -> bytes:
    """Return the state root in a block (`eth_getBlockByNumber`) with this hash. Raises InvalidProof."""
    try:
        header = read_header(block)
    except KeyError as error:
        raise InvalidProof(f"the block has no field {error}") from None
    except (TypeError, ValueError) as error:
        raise InvalidProof(f"the block is malformed: {error}") from None
    found = bytes(keccak(header))
    if found != block_hash:
        raise InvalidProof(f"the hash of the block is 0x{found.hex()}, not 0x{block_hash.hex()}")
    return rlp.read_bytes(rlp.read_list(rlp.decode(header))[_STATE_ROOT])


def _field(name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


def _verify_value(name: str, root: bytes, key: bytes, nodes: Any) -> bytes:
    """Return the value that `nodes` prove for a key. The trie is keyed by the hash of the key."""
    if not isinstance(nodes, list) or len(nodes) > MAX_NODES:
        raise ValueError(f"{name}: expected a list of at most {MAX_NODES} nodes")
    try:
        return proven_value(root, bytes(keccak(key)), [bytes_of(node, MAX_NODE) for node in nodes])
    except ValueError as error:
        raise InvalidProof(f"{name}: {error}") from None


def _account(address: EthAddress, data: bytes) -> ProvenAccount:
    if not data:
        return ProvenAccount(address, False)
    nonce, balance, root, code = rlp.read_list(rlp.decode(data), _FIELDS)
    return ProvenAccount(
        address, True, rlp.read_number(nonce, 8), rlp.read_number(balance), rlp.read_bytes(root), rlp.read_bytes(code)
    )


def _check_claims(response: Mapping[str, Any], account: ProvenAccount) -> None:
    """Compare a response with the proven account. For an absent account, nodes may report hashes of zeros."""
    for name, value in (("nonce", account.nonce), ("balance", account.balance)):
        claimed = _field(name, partial(quantity, response[name]))
        if claimed != value:
            raise InvalidProof(f"{name} is {claimed:#x}, but the proof shows {value:#x}")
    for name, proven in (("storageHash", account.storage_root), ("codeHash", account.code_hash)):
        shown = _field(name, partial(word_of, response[name]))
        if shown != proven and (account.exists or any(shown)):
            raise InvalidProof(f"{name} is 0x{shown.hex()}, but the proof shows 0x{proven.hex()}")
