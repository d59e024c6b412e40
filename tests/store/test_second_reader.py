"""Two strict decoders: a block is rejected if either rejects it or if their results differ."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store.blocks.memory import MemoryStore
from store.car import transfer
from store.car.files import CarError
from store.car.transfer import check_twice, import_car, verify_car, write_blocks
from store.cid import DAG_CBOR, Cid, cid_of, write_uvarint
from store.codec import CodecError, decode, encode, link

UNSORTED = bytes.fromhex("a2616201616101")  # {"b": 1, "a": 1}: valid CBOR, scanned by the network, not canonical
SEALED = Cid(b"".join(map(write_uvarint, (1, 0xF102, 0xB401, 32))) + bytes(32))  # poseidon: a sector's commR


@pytest.mark.parametrize(
    "value",
    [None, True, -5, 1 << 63, 1.5, "é", b"\x00", [], {}, [[{"a": [link(cid_of(b"x"))]}]], link(SEALED)],
    ids=repr,
)
def test_canonical_value_is_accepted(value: Any) -> None:
    check_twice(encode(value))


def test_the_deepest_block_of_ours_is_read_by_both() -> None:
    value: Any = 1
    for _ in range(255):
        value = [value]
    check_twice(encode(value))


def test_our_reader_names_the_byte() -> None:
    with pytest.raises(CodecError, match="not canonical DAG-CBOR: byte 2 "):
        check_twice(UNSORTED)


def test_second_decoder_rejects_block_accepted_by_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "decode_strict", decode)  # a defect: the decoder is not strict
    with pytest.raises(CodecError, match=r"^rejected by dag-cbor: \S"):
        check_twice(UNSORTED)


@pytest.mark.parametrize(
    "wrong",
    [lambda _: 2, lambda _: True, lambda _: [1, 1], lambda _: {"a": 1}],
    ids=["a number", "a bool", "an item too many", "a map"],
)
def test_a_reader_that_reads_another_value_is_found(wrong: Callable[[bytes], Any], monkeypatch: Any) -> None:
    for data in (encode(1), encode([1]), encode({"a": 2}), encode(link(cid_of(b"x")))):
        check_twice(data)
        with monkeypatch.context() as patch:
            patch.setattr(transfer, "_reader", lambda: wrong)
            with pytest.raises(CodecError, match="dag-cbor decodes it to a different value"):
                check_twice(data)


def test_archive_with_noncanonical_block_fails_only_if_strict(tmp_path: Path) -> None:
    path, cid = tmp_path / "odd.car", cid_of(UNSORTED, DAG_CBOR)
    with path.open("wb") as file:
        write_blocks(file, [cid], [(cid, UNSORTED)])
    assert verify_car(path).blocks == 1
    with pytest.raises(CarError, match="not canonical DAG-CBOR: byte 2 "):
        verify_car(path, strict=True)
    store = MemoryStore()
    with pytest.raises(CarError, match="not canonical"):
        import_car(store, path, strict=True)
    assert not store.has(cid)
    assert import_car(store, path).blocks == 1
    assert store.has(cid)
