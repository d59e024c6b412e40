"""Addresses as people give them: what is none is refused with both forms that would do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hypervisor.errors import AddressError
from localnet.addresses import filecoin_address, known_address


@pytest.mark.parametrize("read", [filecoin_address, known_address])
@pytest.mark.parametrize("text", ["nonsense", "", "39Fd6e51aad88F6F4ce6aB8827279cffFb92266"])
def test_a_refusal_names_both_forms(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(AddressError, match=r"expected 0x and 40 hex digits, or f0\.\.\. to f4"):
        read(text)
