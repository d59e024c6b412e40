"""Recording of a block's accesses for its access list (EIP-7928)."""

from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import BlockAccessList

_ACCOUNT: Final = Struct("<20sI32sQI")
_COUNT: Final = Struct("<I")
_SLOT: Final = Struct("<32s32sI")
_BALANCE, _NONCE, _CODE = 1, 2, 4


@dataclass(slots=True)
class AccessRecorder:
    """The accesses of a block so far. `index` is that of the message that is executed."""

    accesses: BlockAccessList = field(default_factory=BlockAccessList)
    index: int = 0

    def add(self, data: bytes) -> None:
        """Add the accesses of a message as a session's guest lists them (guests/revm/src/amsterdam.rs)."""
        at = 0
        while at < len(data):
            address, flags, balance, nonce, size = _ACCOUNT.unpack_from(data, at)
            at += _ACCOUNT.size
            access, index = self.accesses.account(EthAddress(address)), self.index
            if flags & _BALANCE:
                access.balances[index] = int.from_bytes(balance, "big")
            if flags & _NONCE:
                access.nonces[index] = nonce
            if flags & _CODE:
                access.codes[index] = data[at : at + size]
            slots_at = at + size + _COUNT.size
            at = slots_at + _SLOT.size * _COUNT.unpack_from(data, at + size)[0]
            for slot, word, is_changed in _SLOT.iter_unpack(data[slots_at:at]):
                access.add_slot(int.from_bytes(slot, "big"), int.from_bytes(word, "big") if is_changed else None, index)
