"""Golden CIDs from the constructors of the built-in actors (`bafy...` texts known on every network)."""

import pytest

from store.blocks.memory import MemoryStore
from store.cid import EMPTY_ARRAY_BLOCK, EMPTY_ARRAY_CID, cid_of, parse_cid, show
from store.codec import encode
from store.trees.amt import Amt
from store.trees.hamt import Hamt


def test_the_empty_array_has_the_networks_cid() -> None:
    assert show(EMPTY_ARRAY_CID) == "bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4a"
    assert encode([]) == EMPTY_ARRAY_BLOCK


def test_the_empty_hamt_has_the_networks_cid_and_bytes() -> None:
    store = MemoryStore()
    root = Hamt(store).flush()
    assert show(root) == "bafy2bzaceamp42wmmgr2g2ymg46euououzfyck7szknvfacqscohrvaikwfay"
    assert store.get(root).hex() == "824080"


@pytest.mark.parametrize(
    ("bit_width", "text"),
    [
        (2, "bafy2bzacebpbl7msg6mta4gjy3xmntdo6tt7wiikvctwtrkukkem5kvw5bw2i"),
        (3, "bafy2bzacedijw74yui7otvo63nfl3hdq2vdzuy7wx2tnptwed6zml4vvz7wee"),
        (4, "bafy2bzacebtuxloybdfwpzgkvvpdlkmnp4qu52omg3tkj4vqvimurdnfw3jva"),
        (5, "bafy2bzaceacu3yonapahihxmnhzuvk76yupwjmyeymd2l5n6xfs5st52shm6a"),
        (6, "bafy2bzaceaa2jny7gkgdwnid4kuldau6bnvgyss5bszo4uy6uikrncvdu5mc2"),
    ],
)
def test_empty_amts_have_the_networks_cids(bit_width: int, text: str) -> None:
    assert show(Amt(MemoryStore(), bit_width=bit_width).flush()) == text


def test_the_empty_bitfield_has_the_networks_cid() -> None:
    assert show(cid_of(encode(b""))) == "bafy2bzacea456askyutsf7uk4ta2q5aojrlcji4mhaqokbfalgvoq4ueeh4l2"


def test_the_cron_constructor_gives_the_networks_state() -> None:
    # f04 method 5, f05 method 9, as listed in the network's genesis
    block = encode([[[b"\x00\x04", 5], [b"\x00\x05", 9]]])
    assert block == b"\x81" + bytes.fromhex("82824200040582420005 09".replace(" ", ""))
    assert cid_of(block) == parse_cid("bafy2bzacebs5dwwxmsjmzvoqcamx3qtl2x5qpqgpqxgnzl7scccmbvd37ulvs")
