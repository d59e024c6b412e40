"""Error texts of `vm.exit`; the golden vectors cover all other results of syscalls."""

import pytest

from hypervisor.machine.machine import Hypervisor
from tests.runtimes.wasm.guests import data, guest, install_and_call


@pytest.mark.parametrize(
    ("offset", "length", "message"),
    [
        (0, 0, "actor aborted"),
        (0, 3, "\N{REPLACEMENT CHARACTER}ab"),
        (65536, 5, "failed to extract error message: buffer 65536 (length 5) out of bounds: 65536 bytes"),
        (3, 2000, "x" * 512 + " ... (skipped 976 bytes) ... " + "x" * 512),
    ],
)
def test_exit_message_is_read_from_memory(machine: Hypervisor, offset: int, length: int, message: str) -> None:
    arguments = f"(i32.const 16) (i32.const 0) (i32.const {offset}) (i32.const {length})"
    module = guest(f"(drop (call $exit {arguments})) unreachable", "vm.exit", fields=data(0, b"\xffab" + b"x" * 3000))
    assert install_and_call(machine, module).message == message
