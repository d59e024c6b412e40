"""Failures below the store: corrupt blocks, lost logs, full and failing disks, older folder formats."""

import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from rocksdict import Cache, Options, Rdict, WriteOptions

from store.blockstore import BlockCorrupt, StoreCorrupt, StoreIOError, StoreReadOnly
from store.cid import BLAKE2B_256, DAG_CBOR, IDENTITY, RAW, SHA2_256, Cid, cid_of, show
from store.rocks.database import BLOCKS, METADATA, RocksStore
from store.rocks.folder import COMMITS_FILE, FORMAT_FILE, marker
from store.rocks.options import Batch, database_options, family_options, pieces
from store.trees.hamt import Hamt
from tests.store.stores import copy_live

FORMAT_1 = Path(__file__).parent / "data" / "format-1.tar.gz"
"""A folder written in format 1: two commits, `state` and then `later`."""

FORMAT_2 = Path(__file__).parent / "data" / "format-2.tar.gz"
"""A folder written in format 2: the head is a HAMT of the numbers below 2,000, plus a raw block of 0xff and 0x82."""


def commit(store: RocksStore, number: int) -> None:
    data = b"state %d" % number
    store.commit([(cid_of(data), data)], {b"head": cid_of(data), b"number": b"%d" % number})


# --- blocks match their CIDs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hash_code", [BLAKE2B_256, SHA2_256, IDENTITY])
@pytest.mark.parametrize("codec", [RAW, DAG_CBOR])
@pytest.mark.parametrize("stored", [b"", b"sTate", b"state\0"])
def test_a_block_that_is_not_its_cids_is_an_error_that_names_it(
    tmp_path: Path, codec: int, hash_code: int, stored: bytes
) -> None:
    cid = cid_of(b"state", codec, hash_code)
    with RocksStore.open(tmp_path) as store:
        store.put(cid, b"state")
        assert store.get(cid) == b"state"
        store.put(cid, stored)
        with pytest.raises(BlockCorrupt, match=show(cid)) as found:
            store.get(cid)
    assert found.value.cid == cid


@pytest.mark.parametrize("cid", [Cid(b""), Cid(b"no CID"), Cid(b"\x01\x55\x1b\x20" + bytes(32))])
def test_block_with_unverifiable_cid_is_reported_corrupt(tmp_path: Path, cid: Cid) -> None:
    with RocksStore.open(tmp_path) as store:
        store.put(cid, b"keccak-256 is not computed here")
        with pytest.raises(BlockCorrupt):
            store.get(cid)


def test_every_flipped_bit_of_a_stored_block_is_found(tmp_path: Path) -> None:
    data = random.Random(5).randbytes(64)
    cid = cid_of(data)
    with RocksStore.open(tmp_path, sync=False) as store:
        for bit in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            store.put(cid, bytes(flipped))
            with pytest.raises(BlockCorrupt):
                store.get(cid)
        store.put(cid, data)
        assert store.get(cid) == data


# --- lost commits are detected ----------------------------------------------------------------------------------------


def folder_of_a_killed_writer(tmp_path: Path, commits: int) -> Path:
    """Return a copy of the folder while its writer has all data in the log only."""
    with RocksStore.open(tmp_path / "live") as store:
        for number in range(1, commits + 1):
            commit(store, number)
        return copy_live(store, tmp_path / "killed")


@pytest.mark.slow
def test_lost_log_is_detected_and_its_loss_can_be_accepted(tmp_path: Path) -> None:
    folder = folder_of_a_killed_writer(tmp_path, 5)
    max(folder.glob("*.log")).write_bytes(b"")
    for read_only in (True, False):
        with pytest.raises(StoreCorrupt, match=r"commit 5 was acknowledged, but 0 is the last"):
            RocksStore.open(folder, read_only=read_only)
    with RocksStore.open(folder, recover=True) as store:
        assert store.metadata(b"number") is None
        commit(store, 1)
    with RocksStore.open(folder) as store:
        assert (store.metadata(b"number"), store.commits) == (b"1", 1)


def test_corrupt_record_in_mid_log_is_error_and_not_log_end(tmp_path: Path) -> None:
    folder = folder_of_a_killed_writer(tmp_path, 9)
    log = max(folder.glob("*.log"))
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 1
    log.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="is corrupt"):
        RocksStore.open(folder)
    with RocksStore.open(folder, recover=True) as store:
        number = int(store.metadata(b"number") or 0)
        assert 0 < number < 9
        assert store.get(Cid(store.metadata(b"head") or b"")) == b"state %d" % number


def test_a_commit_that_was_never_acknowledged_may_be_cut_off(tmp_path: Path) -> None:
    with RocksStore.open(tmp_path / "live") as store:
        for number in range(1, 4):
            commit(store, number)
        count = (store.path / COMMITS_FILE).read_bytes()
        commit(store, 4)
        folder = copy_live(store, tmp_path / "killed")
    (folder / COMMITS_FILE).write_bytes(count)  # killed before the acknowledgement
    log = max(folder.glob("*.log"))
    log.write_bytes(log.read_bytes()[:-3])
    with RocksStore.open(folder) as store:
        assert store.metadata(b"number") == b"3"


@pytest.mark.parametrize(
    ("content", "opens"),
    [(b"", True), (bytes(17), True), (b"0000000000000003\n", True), (b"0000000000000004\n", False), (b"3", False)],
)
def test_the_count_of_commits_may_lag_but_not_lead(tmp_path: Path, content: bytes, opens: bool) -> None:
    with RocksStore.open(tmp_path) as store:
        for number in range(1, 4):
            commit(store, number)
    (tmp_path / COMMITS_FILE).write_bytes(content)
    if opens:
        with RocksStore.open(tmp_path) as store:
            commit(store, 4)
        assert (tmp_path / COMMITS_FILE).read_bytes() == b"0000000000000004\n"
    else:
        with pytest.raises(StoreCorrupt, match=tmp_path.name):
            RocksStore.open(tmp_path)
        RocksStore.open(tmp_path, recover=True).close()
        RocksStore.open(tmp_path).close()


def test_unsynced_commits_are_not_recorded_as_durable(tmp_path: Path) -> None:
    with RocksStore.open(tmp_path, sync=False) as store:
        commit(store, 1)
        assert (tmp_path / COMMITS_FILE).read_bytes() == b"0000000000000000\n"
    with RocksStore.open(tmp_path):
        assert (tmp_path / COMMITS_FILE).read_bytes() == b"0000000000000001\n"


@pytest.mark.parametrize("kind", [0, 5, 6, 7, 8, 9, 130, 255])
@pytest.mark.parametrize("file", ["MANIFEST-*", "*.log"])
def test_unknown_log_record_type_is_error_and_not_endless_loop(tmp_path: Path, file: str, kind: int) -> None:
    folder = folder_of_a_killed_writer(tmp_path, 6)
    log = max(folder.glob(file))
    content = bytearray(log.read_bytes())
    start = [piece.start for piece in pieces(bytes(content))][3]
    content[start + 6] = kind
    log.write_bytes(content)
    for read_only in (True, False):
        with pytest.raises(
            StoreCorrupt, match=rf"{log.name} is corrupt: unexpected record type {kind} at byte {start}"
        ):
            RocksStore.open(folder, read_only=read_only)
    if file == "*.log":
        with RocksStore.open(folder, recover=True) as store:
            assert store.metadata(b"number") == b"3"
    else:
        with pytest.raises(StoreCorrupt):
            RocksStore.open(folder, recover=True)


def test_folder_reopens_while_its_error_is_still_referenced(tmp_path: Path) -> None:
    store = RocksStore.open(tmp_path)
    with pytest.raises(ValueError, match="unpack") as kept:
        store.commit([(cid_of(b"state"), b"state"), "not a block"], {})  # type: ignore[list-item]  # the malformed argument under test
    assert kept.value.__traceback__ is not None
    store.close()
    RocksStore.open(tmp_path).close()


# --- disks that fail --------------------------------------------------------------------------------------------------


def failing(kind: str, folder: Path, *prefix: str) -> list[str]:
    command = [*prefix, sys.executable, "-m", "tests.store.failing_disk", kind, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_file_size_limit_is_full_disk_and_last_commit_survives(tmp_path: Path) -> None:
    said = failing("files_too_large", tmp_path / "store")
    last = said.index("StoreFull") - 1
    number = int(said[last].removeprefix("committed "))
    assert number >= 3
    again = [f"committed {number + 1}", f"found {number + 1}"]  # in another log, which has room
    assert said[last + 1 :] == ["StoreFull", *again, *continued(number)]


@pytest.mark.slow
def test_a_full_and_then_read_only_disk(tmp_path: Path) -> None:
    namespace = ("unshare", "--map-root-user", "--mount")
    if shutil.which("unshare") is None or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("this system lets no user mount a disk of his own")
    said = failing("disk", tmp_path, *namespace)
    last = said.index("StoreFull") - 1
    number = int(said[last].removeprefix("committed "))
    assert said[last + 1 :] == [
        *("StoreFull", "StoreFull", f"found {number}"),
        *continued(number)[:2],
        *continued(number)[1:],  # by a reader, then by another writer
        *("StoreReadOnly", f"found {number + 2}", "StoreReadOnly"),  # on writing, reading and creating
    ]


def continued(number: int) -> list[str]:
    """Return the lines of a store with `number` commits that has room again, and of the next writer."""
    return [f"committed {number + 1}", *[f"found {number + 1}"] * 2, f"committed {number + 2}"]


def test_failed_commit_that_is_stored_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed sync may leave a commit in the log, which the next connection reads."""
    write = Batch.write

    def fail(_: Batch, __: WriteOptions) -> None:
        raise OSError("IO error: Input/output error")

    with RocksStore.open(tmp_path) as store:
        commit(store, 1)
        with monkeypatch.context() as failing:
            failing.setattr(Batch, "write", fail)
            with pytest.raises(StoreIOError):
                commit(store, 2)
            connect = store._connect

            def connect_with_commit() -> Rdict:
                database = connect()
                database.get_column_family(METADATA).put(b"number", b"2")
                database.put(b"commits", (store.commits + 1).to_bytes(8, "big"))
                failing.setattr(Batch, "write", write)
                return database

            failing.setattr(store, "_connect", connect_with_commit)
            store.commit((), {b"other": b""})
        assert store.metadata(b"number") == b"1"
        commit(store, 3)
    with RocksStore.open(tmp_path) as store:
        assert (store.metadata(b"number"), store.metadata(b"other")) == (b"3", b"")


def test_backup_of_an_open_store_is_a_store_of_its_own(tmp_path: Path) -> None:
    with RocksStore.open(tmp_path / "chain") as store:
        commit(store, 1)
        (tmp_path / "chain" / "backups" / "2").mkdir(parents=True)  # of a process that was killed
        commit(store, 2)
        copy = store.backup()
        assert store.backup() == copy
        commit(store, 3)
        with RocksStore.open(copy) as other:
            assert other.metadata(b"number") == b"2"
            commit(other, 4)
        assert store.metadata(b"number") == b"3"
    with RocksStore.open(tmp_path / "chain") as store:
        assert store.metadata(b"number") == b"3"


@pytest.mark.slow
def test_permissions_are_named() -> None:
    with TemporaryDirectory(dir="/tmp") as folder:  # pytest's own folder is accessible to its owner only
        Path(folder).chmod(0o755)
        said = failing("stranger", Path(folder) / "store")
    assert said == ["committed 1", "StoreDenied", "found 1", "StoreDenied", "StoreDenied"]


# --- older formats ----------------------------------------------------------------------------------------------------


@pytest.fixture
def older(tmp_path: Path) -> Path:
    with tarfile.open(FORMAT_1) as archive:
        archive.extractall(tmp_path / "older", filter="data")
    return tmp_path / "older"


def check_older(store: RocksStore) -> None:
    head = Cid(store.metadata(b"head") or b"")
    assert (store.get(head), store.get(cid_of(b"state")), store.index(b"height")) == (b"later", b"state", b"2")


def test_a_folder_of_format_1_is_read_as_it_is(older: Path) -> None:
    with RocksStore.open(older, read_only=True) as store:
        check_older(store)
        with pytest.raises(StoreReadOnly):
            commit(store, 1)
    assert (older / FORMAT_FILE).read_text() == marker(1)


def test_a_folder_of_format_1_is_upgraded_by_its_first_writer(older: Path) -> None:
    with RocksStore.open(older) as store:
        check_older(store)
        commit(store, 1)
    assert (older / FORMAT_FILE).read_text() == marker(3)
    with RocksStore.open(older) as store:
        assert (store.metadata(b"number"), store.commits) == (b"1", 1)


@pytest.mark.parametrize("read_only", [True, False])
def test_format_2_folder_blocks_are_read_without_migration(tmp_path: Path, read_only: bool) -> None:
    with tarfile.open(FORMAT_2) as archive:
        archive.extractall(tmp_path, filter="data")
    raw = b"\xff\x82"
    with RocksStore.open(tmp_path, read_only=read_only) as store:
        assert store.get(cid_of(raw, RAW)) == raw
        tree = Hamt(store, Cid(store.metadata(b"head") or b""))
        assert sorted(value for _, value in tree.items()) == list(range(2000))
        if not read_only:
            tree.set(b"0", 1)
            tree.flush()
            store.put(cid_of(raw, RAW), raw)
    with RocksStore.open(tmp_path, read_only=True) as store:
        assert (tmp_path / FORMAT_FILE).read_text() == marker(2 if read_only else 3)
        assert len(list(Hamt(store, Cid(store.metadata(b"head") or b"")).items())) == 2000
        assert store.get(cid_of(raw, RAW)) == raw


def test_interrupted_upgrade_is_resumed(older: Path) -> None:
    (older / FORMAT_FILE).write_text(marker(2))
    with RocksStore.open(older, read_only=True) as store:
        check_older(store)
    with RocksStore.open(older) as store:
        check_older(store)


def test_upgraded_folder_is_unreadable_for_format_1() -> None:
    assert marker(1) == "hypervisor store, format 1\n"  # the exact text that the older program checks
    assert marker() != marker(1)


# --- a foreign database -----------------------------------------------------------------------------------------------


def test_blocks_written_by_others_into_folder_are_verified(tmp_path: Path) -> None:
    cid = cid_of(b"state")
    with RocksStore.open(tmp_path) as store:
        store.put(cid, b"state")
    cache = Cache(1 << 20)
    families: dict[str, Options] = {
        name: family_options(cache, 1 << 20) for name in ("blocks", "metadata", "chain", "marks")
    }
    database = Rdict(str(tmp_path), options=database_options(), column_families=families)
    blocks = database.get_column_family(BLOCKS)
    blocks[bytes(cid)] = b"other"
    blocks.close()
    database.close()
    with RocksStore.open(tmp_path) as store, pytest.raises(BlockCorrupt, match=show(cid)):
        store.get(cid)
