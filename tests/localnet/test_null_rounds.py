"""Null rounds before a tipset of an untrusted chain are limited, since each one is executed."""

from types import SimpleNamespace
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from localnet.chain import tipset_sources
from localnet.chain.tipset_sources import read_past_tipset
from localnet.replay.tipset_execution import MAX_NULL_ROUNDS, null_epochs


def test_epochs_between_tipset_and_parent_are_null_rounds() -> None:
    assert list(null_epochs(7, 10)) == [8, 9]
    assert list(null_epochs(7, 8)) == []
    assert len(list(null_epochs(0, MAX_NULL_ROUNDS + 1))) == MAX_NULL_ROUNDS


@pytest.mark.parametrize(
    ("height", "words"),
    [
        ((1 << 63) - 1, "null rounds lie before epoch 9,223|null rounds lie before epoch 9223372036854775807"),
        (MAX_NULL_ROUNDS + 9, "100,001 null rounds lie before epoch 100009, at most 100,000 are executed"),
        (7, "the tipset of epoch 7 has a parent at epoch 7: expected an earlier one"),
    ],
)
def test_header_of_invalid_height_is_refused_with_message(
    height: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {b"child": SimpleNamespace(height=height, parents=b"parent"), b"parent": SimpleNamespace(height=7)}
    monkeypatch.setattr(tipset_sources, "read_tipset", lambda _store, cids: found[cids])
    source: Any = SimpleNamespace(store=None, version_at=lambda _headers: 29, null_time=lambda _parent, _epoch: 0)
    with pytest.raises(InvalidInput, match=words):
        read_past_tipset(source, b"child")  # type: ignore[arg-type]  # a stand-in
