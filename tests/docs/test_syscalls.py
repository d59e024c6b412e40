"""docs/syscalls.md and the C header equal the syscall table, and the header equals the network's ABI."""

import re
import subprocess
from pathlib import Path

from runtimes.wasm.module.parser import FunctionType, parse_module
from runtimes.wasm.syscalls.abi import Revision
from scripts.actor_bindings.tables import HEADER, NEWEST, OLDEST, header
from tests.compilers import C_FLAGS, needed_zig
from tests.runtimes.wasm.guests import IMPORTS

TEXT = HEADER.read_text(encoding="utf-8")
DECLARATION = re.compile(r'^FVM_IMPORT\("(\w+)", "(\w+)"\)\n(?:\S+ )??uint32_t \w+\((.*)\);$', re.MULTILINE)
FORK = re.compile(r"^#ifn?def FVM_ABI_V3\n(.*?)^#endif$", re.MULTILINE | re.DOTALL)

# ref-fvm shared/src/sys/out, by hand: the offset of each field and the size of the structure.
LAYOUTS = {
    "fvm_token_amount": (16, {"low": 0, "high": 8}),
    "fvm_ipld_open": (16, {"codec": 0, "block": 8, "size": 12}),
    "fvm_ipld_stat": (12, {"codec": 0, "size": 8}),
    "fvm_send_result": (20, {"exit_code": 0, "block": 4, "codec": 8, "size": 16}),
    "fvm_message_context": (80, {"origin": 0, "nonce": 8, "caller": 16, "receiver": 24, "method": 32, "value": 40,
                                 "gas_premium": 56, "flags": 72}),
    "fvm_network_info": (44, {"epoch": 0, "timestamp": 8, "base_fee": 16, "chain_id": 32, "network_version": 40}),
    "fvm_consensus_fault": (20, {"epoch": 0, "target": 8, "kind": 16}),
    "fvm_event_entry": (24, {"flags": 0, "codec": 8, "key_length": 16, "value_length": 20}),
    "fvm_randomness": (32, {"bytes": 0}),
    "fvm_public_key": (65, {"bytes": 0}),
}  # fmt: skip


def letters(arguments: str) -> str:
    """WASM types of C arguments: I for 32 bits, Q for 64."""
    if arguments == "void":
        return ""
    return "".join("Q" if "*" not in one and "64_t" in one else "I" for one in arguments.split(", "))


def declared(text: str) -> dict[str, str]:
    return {f"{module}.{name}": letters(arguments) for module, name, arguments in DECLARATION.findall(text)}


def test_header_matches_syscall_table() -> None:
    assert header() == TEXT, "run `make syscalls-page`"


def test_the_header_declares_every_import_of_the_network() -> None:
    newest = FORK.sub(lambda fork: fork[1].partition("#else")[2] or fork[1], TEXT)
    assert declared(newest) == {name: given.upper() for name, given in IMPORTS.items()}


def test_a_c_compiler_makes_the_same_of_it(tmp_path: Path) -> None:
    zig = needed_zig()
    check_compiled(zig, tmp_path, NEWEST)
    check_compiled(zig, tmp_path, OLDEST, "-DFVM_ABI_V3")


def check_compiled(zig: list[str], tmp_path: Path, revision: Revision, *flags: str) -> None:
    checks = [f'_Static_assert(sizeof({name}) == {size}, "");' for name, (size, _) in LAYOUTS.items()]
    checks += [
        f'_Static_assert(__builtin_offsetof({name}, {field}) == {at}, "");'
        for name, (_, fields) in LAYOUTS.items()
        for field, at in fields.items()
    ]
    uses = [f"(const void *)fvm_{module}_{name}," for module, name in revision]
    source = tmp_path / "all.c"
    source.write_text("\n".join([
        '#include "fvm.h"', *checks, "const void *const imports[] = {", *uses, "};",
        "uint32_t invoke(uint32_t params) { return (uint32_t)(uintptr_t)imports[params]; }",
    ]))  # fmt: skip
    module = tmp_path / "all.wasm"
    command = [*zig, "cc", *C_FLAGS, *flags, f"-I{HEADER.parent}", "-o", str(module), str(source)]
    subprocess.run(command, check=True, timeout=300)
    found = parse_module(module.read_bytes())
    kinds = {(item.module, item.name): found.types[item.type_index] for item in found.imports}
    assert kinds == {name: FunctionType(each.wasm_params, each.wasm_results) for name, each in revision.items()}
