"""The state of a network in one file: a gzipped CAR whose root names the state, its epoch and its time.

The code of the built-in actors is omitted: the network that loads the file must have the same bundle.
"""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.state.state_tree import StateTree
from hypervisor.types import SYSTEM_ACTOR, ChainEpoch
from localnet.chain.anvil_state import load_anvil_state
from localnet.chain.clock import LATEST_TIME
from store.blocks.buffered import BufferedStore
from store.blocks.overlay import OverlayStore
from store.blockstore import BlockNotFound, StoreCorrupt, get_object, put_object
from store.car.files import CarError, read_car
from store.car.transfer import write_blocks
from store.cid import Cid, show
from store.codec import CodecError, link, unlink
from store.links import blocks_below
from store.untrusted import MAX_UNPACKED_BYTES, CompressionError, gunzip, parse_json

if TYPE_CHECKING:
    from localnet.chain.chain import Chain
    from localnet.ledger.records import Tipset

_FORMAT: Final = 2
_WITHOUT_RULES: Final = 1
"""The older format, which does not name the rules."""
_GZIP_MARK: Final = b"\x1f\x8b"
_MAX_EPOCHS_AHEAD: Final = 1_100_000
"""Maximum number of epochs that a state may be ahead of the network (a year); each becomes a null round."""


def dump_state(chain: Chain) -> bytes:
    """Return the head's state in the form of `load_state`."""
    head, machine = chain.head, chain.machine
    outside = OverlayStore(machine.base)
    root = put_object(outside, [_FORMAT, head.height, head.timestamp, link(head.state), chain.rules.name])
    code = set(machine.manifest.codes)
    blocks = ((cid, data) for cid, data in blocks_below(outside, [root]) if cid not in code)
    file = io.BytesIO()
    write_blocks(file, [root], blocks)
    return gzip.compress(file.getbuffer(), 6, mtime=0)


def load_state(chain: Chain, packed: bytes, limit: int = MAX_UNPACKED_BYTES) -> Tipset:
    """Replace the head's state, in a separate block at the state's epoch or after the head.

    A state of anvil replaces the whole chain (`localnet.chain.anvil_state`).

    `limit` is the maximum decompressed size in bytes.

    Raises InvalidInput for a malformed file or a state of another bundle; the chain is then unchanged.
    """
    blocks = BufferedStore(chain.machine.base)
    data = _unpack(packed, limit)
    if is_json(data):
        return load_anvil_state(chain, _parse_json(data))
    try:
        reader = read_car(io.BytesIO(data))
        for cid, data in reader:
            blocks.put(cid, data)
        (root,) = reader.roots
        version, *fields = get_object(blocks, root)
        if version not in (_FORMAT, _WITHOUT_RULES):
            raise InvalidInput(
                f"the file has format {version!r:.40}, this program reads {_WITHOUT_RULES} and {_FORMAT}"
            )
        height, timestamp, state_link, rules = (*fields, chain.rules.name) if version == _WITHOUT_RULES else fields
        _check_rules(chain, rules)
        state = unlink(state_link)
        _check_bundle(chain, blocks, state)
        for _ in blocks_below(blocks, [state]):
            pass  # every block is there
        _check_numbers(chain.head.height, height, timestamp)
        _check_version(chain, height)
    except InvalidInput:
        raise
    except (CarError, BlockNotFound, StoreCorrupt, CodecError, TypeError, ValueError) as error:
        raise _not_a_dump(error) from None
    return chain.adopt(state, blocks.pending, ChainEpoch(height), timestamp)


def _unpack(packed: bytes, limit: int) -> bytes:
    if is_json(packed):
        return packed
    if not packed.startswith(_GZIP_MARK):
        raise _not_a_dump("it is not compressed with gzip")
    try:
        return gunzip(packed, limit)
    except CompressionError as error:
        raise _not_a_dump(error) from None


def _not_a_dump(reason: object) -> InvalidInput:
    return InvalidInput(
        f"the file is not a state dump of a network: {reason}; expected a file of `hypervisor node --dump-state` or "
        "`anvil_dumpState`, or under Ethereum's rules a state file of anvil (JSON)"
    )


def is_json(data: bytes) -> bool:
    """Return True if a decompressed state is JSON, as anvil's are."""
    return data.lstrip()[:1] == b"{"


def _parse_json(data: bytes) -> dict[str, Any]:
    try:
        parsed = parse_json(data)
    except ValueError as error:
        raise InvalidInput(f"this is not a state file of anvil: {error}") from None
    assert isinstance(parsed, dict), "it begins with a brace"
    return parsed


def _check_rules(chain: Chain, rules: object) -> None:
    if rules != chain.rules.name:
        raise InvalidInput(
            f"the state belongs to a network with the rules {rules!r:.40}, this one has "
            f"'{chain.rules.name}': load it into a network with its rules (--rules)"
        )


def _check_bundle(chain: Chain, blocks: BufferedStore, state: Cid) -> None:
    system = StateTree(blocks, state).get_actor(SYSTEM_ACTOR)
    own = chain.machine.state_tree.get_actor(SYSTEM_ACTOR)
    assert own is not None, "a machine's state has a system actor"
    if system is None or system.head != own.head:
        there = "no system actor" if system is None else show(system.head)
        raise InvalidInput(
            f"the state has the built-in actors {there}, this network has {show(own.head)}: use the same bundle"
        )


def _check_version(chain: Chain, height: int) -> None:
    """Raise InvalidInput if an upgrade is due by `height`: this block executes nothing, so it cannot be its block."""
    head = chain.head.height
    versions = {chain.record.upgrades.version_at(epoch) for epoch in (head, max(height, head + 1))}
    if len(versions) > 1:
        raise InvalidInput(
            f"the state of epoch {height} is after an upgrade that "
            f"this network has not executed yet: mine up to the upgrade first"
        )


def _check_numbers(head: int, height: object, timestamp: object) -> None:
    if not (type(height) is int and 0 <= height <= head + _MAX_EPOCHS_AHEAD):
        raise InvalidInput(
            f"the state's epoch is {height!r:.40}: expected at most {_MAX_EPOCHS_AHEAD} after the head, {head}"
        )
    if not (type(timestamp) is int and 0 <= timestamp <= LATEST_TIME):
        raise InvalidInput(f"the state's timestamp is {timestamp!r:.40}: expected Unix seconds")
