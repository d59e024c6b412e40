"""CAR version 2 with its index: byte equality with go-car's files, lookups by index, and malformed indices."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from store.blockstore import BlockNotFound
from store.car import index
from store.car.files import CarError, read_car
from store.car.index import IndexedCar, write_indexed_car
from store.cid import BLAKE2B_256, IDENTITY, RAW, SHA2_256, Cid, cid_of

# A version 2 file of three blocks written by go-car 2 (v2/testdata/sample-unixfs-v2.car of github.com/ipld/go-car).
GO_CAR = bytes.fromhex(
    "0aa16776657273696f6e020000000000000000000000000000000033000000000000001c010000000000004f010000000000003aa265"
    "726f6f747381d82a582500017012200a344871dee6c754207f596cfc95ae29d4a0a21e7023925a5d6125206dd4aab46776657273696f"
    "6e013001551220a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a44768656c6c6f20776f726c640a590170"
    "1220cbce123869f855af03cc49752c1b05832020b7b8ac1ceb7c8e4acb671df67981122f0a2401551220a948904f2f0f479b8f819769"
    "4b30184b0d2ed1c1cd2a1ec0fb85d299a192a4471205622e747874180c0a02080155017012200a344871dee6c754207f596cfc95ae29"
    "d4a0a21e7023925a5d6125206dd4aab4122b0a2401701220cbce123869f855af03cc49752c1b05832020b7b8ac1ceb7c8e4acb671df6"
    "798112016118000a0208018108010000001200000000000000010000002800000078000000000000000a344871dee6c754207f596cfc"
    "95ae29d4a0a21e7023925a5d6125206dd4aab4c600000000000000a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d2"
    "99a192a4473b00000000000000cbce123869f855af03cc49752c1b05832020b7b8ac1ceb7c8e4acb671df679816c00000000000000"
)

INDEXED_BLOCKS = [(cid_of(bytes([number]) * number, RAW, code), bytes([number]) * number)
          for number in range(200) for code in (SHA2_256, BLAKE2B_256)]  # fmt: skip


def written(tmp_path: Path, blocks: list[tuple[Cid, bytes]]) -> Path:
    path = tmp_path / "some.car"
    with path.open("wb") as file:
        write_indexed_car(file, [blocks[0][0]], blocks)
    return path


def test_car_output_matches_go_car() -> None:
    reader = read_car(io.BytesIO(GO_CAR))
    assert reader.version == 2
    blocks = list(reader)
    assert len(blocks) == 3
    out = io.BytesIO()
    write_indexed_car(out, reader.roots, blocks)
    assert out.getvalue() == GO_CAR


def test_single_blocks_are_read_from_a_file_of_go_car(tmp_path: Path) -> None:
    path = tmp_path / "go.car"
    path.write_bytes(GO_CAR)
    blocks = list(read_car(io.BytesIO(GO_CAR)))
    with IndexedCar(path) as car:
        assert car.roots == (blocks[-1][0],) or car.roots[0] in dict(blocks)
        for cid, data in blocks:
            assert car.get(cid) == data
            assert car.has(cid)
        absent = cid_of(b"absent")
        assert not car.has(absent)
        with pytest.raises(BlockNotFound):
            car.get(absent)
        with pytest.raises(CarError, match="read-only"):
            car.put(absent, b"absent")
        with pytest.raises(CarError, match="read-only"):
            car.put_many([])


@pytest.mark.parametrize("run", [1 << 18, 7])
def test_indexed_car_finds_every_block_for_any_run_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(index, "_RUN", run)
        path = written(tmp_path, INDEXED_BLOCKS)
    with path.open("rb") as file:
        assert list(read_car(file)) == INDEXED_BLOCKS
    with IndexedCar(path) as car:
        for cid, data in INDEXED_BLOCKS:
            assert car.get(cid) == data
    if run == 7:
        assert path.read_bytes() == written(tmp_path, INDEXED_BLOCKS).read_bytes()


def test_identity_cids_need_no_index(tmp_path: Path) -> None:
    inline = cid_of(b"inline", RAW, IDENTITY)
    with IndexedCar(written(tmp_path, [(inline, b"inline"), INDEXED_BLOCKS[5]])) as car:
        assert car.get(inline) == b"inline"
        assert list(car.offsets(INDEXED_BLOCKS[5][0]))


def test_the_same_bytes_under_another_codec_are_another_block(tmp_path: Path) -> None:
    path = written(tmp_path, INDEXED_BLOCKS)
    with IndexedCar(path) as car, pytest.raises(BlockNotFound):
        car.get(cid_of(INDEXED_BLOCKS[7][1], hash_code=BLAKE2B_256))


def test_the_older_kind_of_index_is_read(tmp_path: Path) -> None:
    content = written(tmp_path, INDEXED_BLOCKS[::2]).read_bytes()  # one hash function
    start = int.from_bytes(content[43:51], "little")
    # format 0x0401, one function, its code, followed by the older index format
    older = content[:start] + b"\x80\x08" + content[start + 2 + 4 + 8 :]
    (tmp_path / "older.car").write_bytes(older)
    with IndexedCar(tmp_path / "older.car") as car:
        for cid, data in INDEXED_BLOCKS[::2]:
            assert car.get(cid) == data


def with_index(change: Callable[[bytearray], bytes | bytearray]) -> bytes:
    """Return go-car's file with another index."""
    start = int.from_bytes(GO_CAR[43:51], "little")
    return GO_CAR[:start] + bytes(change(bytearray(GO_CAR[start:])))


def patched(at: int, value: bytes) -> Callable[[bytearray], bytearray]:
    def change(index: bytearray) -> bytearray:
        index[at : at + len(value)] = value
        return index

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda index: b"",
        lambda index: b"\x80" * 12,
        lambda index: b"\x05",
        lambda index: index[:5],
        lambda index: index[:20],
        lambda index: index[:-1],
        patched(2, b"\xff\xff\xff\xff"),  # too many hash functions
        patched(14, b"\xff\xff\xff\xff"),  # too many widths
        patched(18, b"\x00"),  # width 0
        patched(18, b"\x07"),  # width below 8
        patched(18, b"\x29"),  # width that does not divide the length
        patched(22, b"\xff\xff\xff\xff\xff\xff\xff\xff"),  # table longer than the file
    ],
)
def test_a_hostile_index_is_a_car_error(tmp_path: Path, change: Callable[[bytearray], bytes]) -> None:
    path = tmp_path / "bad.car"
    path.write_bytes(with_index(change))
    with pytest.raises(CarError):
        IndexedCar(path)


def test_misleading_car_index_is_car_error_never_wrong_block(tmp_path: Path) -> None:
    blocks = list(read_car(io.BytesIO(GO_CAR)))
    start = int.from_bytes(GO_CAR[43:51], "little")
    path = tmp_path / "astray.car"
    for entry in range(3):
        for offset in (0, 1, 55, 10**6, 2**64 - 1, (1 << 63) - 1):
            at = 30 + entry * 40 + 32
            path.write_bytes(with_index(patched(at, offset.to_bytes(8, "little"))))
            digest = path.read_bytes()[start + 30 + entry * 40 :][:32]
            (cid, data) = next(block for block in blocks if block[0].endswith(digest))
            with IndexedCar(path) as car:
                try:
                    assert car.get(cid) == data
                except CarError:
                    continue


def test_a_file_without_an_index_is_a_car_error(tmp_path: Path) -> None:
    for content in (GO_CAR[51 : 51 + int.from_bytes(GO_CAR[35:43], "little")], GO_CAR[:43] + bytes(8) + GO_CAR[51:]):
        (tmp_path / "none.car").write_bytes(content)
        with pytest.raises(CarError, match="no index"):
            IndexedCar(tmp_path / "none.car")
