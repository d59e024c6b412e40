"""Delays between the calls of an invariant test's sequence: their sum, and their form in files."""

import pytest

from hypervisor_tools.soltest.execution.results import BlockDelay, read_delay

LARGEST = (1 << 64) - 1


def test_sum_of_delays_can_be_stored_and_read_again() -> None:
    assert BlockDelay(1, 2).plus([BlockDelay(10, 20), BlockDelay(100, 200)]) == BlockDelay(111, 222)
    largest = BlockDelay(LARGEST, 5).plus([BlockDelay(1, LARGEST)])
    assert largest == BlockDelay(LARGEST, LARGEST)
    assert read_delay(largest.forge_json()) == largest


@pytest.mark.parametrize("text", ["0x_1", "0x1_0", "0x", "1", "0x 1", "0x1\n", "0x-1", "0x\u0661", "0x1" + 16 * "0", 1])
def test_what_is_not_a_hex_number_below_2_64_is_refused(text: object) -> None:
    assert read_delay({"warp": text}) is None
    assert read_delay({"roll": text}) is None


def test_delay_of_a_file_may_lack_parts() -> None:
    assert read_delay({}) == BlockDelay()
    assert read_delay({"warp": None, "roll": "0xAb"}) == BlockDelay(0, 171)
    assert read_delay({"warp": f"0x{LARGEST:x}"}) == BlockDelay(LARGEST)
