"""Lab `libraries`: valid and refused links, and ends of calls in libraries."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any
from unittest.mock import patch

import pytest

from hypervisor.errors import InvalidInput, InvalidModule
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.threads import BoundedCache
from hypervisor.tracing import GasCharged, TraceEvent, Tracer
from hypervisor.types import INIT_ACTOR
from hypervisor.versions.features import with_features
from lab_tests.libraries import play
from runtimes.wasm import linked
from runtimes.wasm.libraries import (
    MAX_EXPORTS,
    MAX_IMPORTS,
    MAX_LIBRARIES,
    MAX_LIBRARY_BYTES,
    MAX_LIBRARY_DEPTH,
    LinkableModule,
    LinkedUnit,
    read_module,
    resolve,
)
from runtimes.wasm.linked import LinkedModules, LinkedProgram
from runtimes.wasmtime.cache import default_folder
from runtimes.wasmtime.encoding import name, section
from store.cid import RAW, Cid, cid_of, show
from store.codec import encode
from tests.runtimes.wasm.guests import call, data, guest, imports, install_actor, wasm

GAS = 100_000_000
LIBRARY = """(module
    (memory (export "memory") 1 4)
    (global $count (mut i32) (i32.const 0))
    (func (export "count") (result i32)
        (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
        (i32.load (i32.const 8)))
    (func $deep (export "deep") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0))))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "trap") (result i32) unreachable)
    (func (export "outside") (result i32) (i32.load (i32.const 65536)))
    (func (export "loop") (result i32) (loop (br 0)) unreachable))"""


def padded_library(size: int) -> bytes:
    """Return a library of `size` bytes, padded with a custom section."""
    code = wasm('(module (func (export "f") (result i32) (i32.const 7)))')
    return code + section(0, name("rest") + bytes(size - len(code) - len(name("rest")) - 4))


def actor(body: str, *imported: str, memory: str = '(memory (export "memory") 1)', fields: str = "") -> bytes:
    """Return an actor that exits with 100 plus the value of `body`."""
    return wasm(f"""(module {imports("vm.exit")} {" ".join(imported)} {memory} {fields}
        (func (export "invoke") (param i32) (result i32)
            (drop (call $exit (i32.add (i32.const 100) {body}) (i32.const 0) (i32.const 0) (i32.const 0)))
            (i32.const 0)))""")


def from_library(code: Cid, name: str, signature: str = "(result i32)") -> str:
    """Return the import of a library's function as `$name`."""
    return f'(import "lib:{show(code)}" "{name}" (func ${name} {signature}))'


@pytest.fixture
def machine() -> Hypervisor:
    return Hypervisor.open(rules="lab:libraries")


def end(machine: Hypervisor, module: bytes, gas: int = GAS) -> ApplyResult:
    machine.install(module)
    return call(machine, install_actor(machine, module), gas_limit=gas)


class TestCalls:
    @pytest.mark.parametrize(
        ("name", "signature", "body", "exit_code"),
        [
            ("count", "(result i32)", "(i32.add (call $count) (i32.mul (i32.const 10) (call $count)))", 100 + 21),
            ("deep", "(param i32) (result i32)", "(call $deep (i32.const 300))", 400),
            ("deep", "(param i32) (result i32)", "(call $deep (i32.const 3000))", ExitCode.SYS_ILLEGAL_INSTRUCTION),
            ("trap", "(result i32)", "(call $trap)", ExitCode.SYS_ILLEGAL_INSTRUCTION),
            ("outside", "(result i32)", "(call $outside)", ExitCode.SYS_ILLEGAL_INSTRUCTION),
            ("loop", "(result i32)", "(call $loop)", ExitCode.SYS_OUT_OF_GAS),
            ("grow", "(param i32) (result i32)", "(call $grow (i32.const 3))", 101),
            ("grow", "(param i32) (result i32)", "(call $grow (i32.const 4))", 99),
        ],
    )
    def test_a_call_ends_as_a_function_of_the_actor_would(
        self, machine: Hypervisor, name: str, signature: str, body: str, exit_code: int
    ) -> None:
        code = machine.install(wasm(LIBRARY))
        result = end(machine, actor(body, from_library(code, name, signature)))
        assert result.fatal is None
        assert result.exit_code == exit_code

    def test_each_call_has_instances_of_its_own(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        module = actor("(call $count)", from_library(code, "count"))
        assert [end(machine, module).exit_code for _ in range(2)] == [101, 101]

    def test_two_actors_share_only_code_of_library(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        first = actor("(i32.add (call $count) (call $count))", from_library(code, "count"))
        second = actor("(call $count)", from_library(code, "count"))
        assert [end(machine, module).exit_code for module in (first, second)] == [103, 101]

    def test_the_stack_is_counted_over_all_modules(self, machine: Hypervisor) -> None:
        """Half the limit in the actor and half in the library is too much; each alone is not."""
        code = machine.install(wasm(LIBRARY))
        signature = "(param i32) (result i32)"
        fields = """(func $own (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $own (i32.sub (local.get 0) (i32.const 1)))))
                (else (call $deep (i32.const 300)))))"""
        ends = [
            end(
                machine, actor(f"(call $own (i32.const {depth}))", from_library(code, "deep", signature), fields=fields)
            )
            for depth in (100, 300)
        ]
        assert [one.exit_code for one in ends] == [500, ExitCode.SYS_ILLEGAL_INSTRUCTION]

    def test_an_exported_memory_may_be_the_actor_s_own(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        memory = f'(import "lib:{show(code)}" "memory" (memory 1)) (export "memory" (memory 0))'
        body = "(block (result i32) (i32.store (i32.const 8) (i32.const 40)) (call $count))"
        assert end(machine, actor(body, from_library(code, "count"), memory=memory)).exit_code == 141
        assert end(machine, actor(body, from_library(code, "count"))).exit_code == 101, "its own is another one"

    def test_library_memory_limit_counts_toward_actor_memory(self, machine: Hypervisor) -> None:
        """Both together have 512 MiB: 8,192 pages, of which a library may need 256."""
        code = machine.install(wasm('(module (memory 0 256) (func (export "f") (result i32) (i32.const 0)))'))
        found = [
            end(machine, actor(f"(memory.grow (i32.const {pages}))", from_library(code, "f")), 10**10).exit_code
            for pages in (8192 - 256 - 1, 8192 - 256)
        ]
        assert found == [101, 99]

    def test_a_library_that_is_an_actor_s_code_is_not_entered(self, machine: Hypervisor) -> None:
        assert call(machine, install_actor(machine, wasm(LIBRARY))).exit_code == ExitCode.SYS_INVALID_RECEIVER

    def test_an_upgrade_may_be_linked(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        module = wasm(f"""(module {from_library(code, "count")} (memory (export "memory") 1)
            (func (export "upgrade") (param i32 i32) (result i32) (drop (call $count)) (i32.const 0))
            (func (export "invoke") (param i32) (result i32) (i32.const 0)))""")
        assert end(machine, module).exit_code == 0

    def test_a_start_function_of_the_actor_may_call_a_library(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        fields = "(func $start (drop (call $count))) (start $start)"
        assert end(machine, actor("(call $count)", from_library(code, "count"), fields=fields)).exit_code == 102


class TestLibrariesOfLibraries:
    def chain(self, machine: Hypervisor, length: int) -> Cid:
        """Return a library at the end of a chain that counts the libraries behind it."""
        code = machine.install(wasm('(module (func (export "f") (result i32) (i32.const 1)))'))
        for _ in range(length - 1):
            longer = '(func (export "f") (result i32) (i32.add (i32.const 1) (call $f)))'
            code = machine.install(wasm(f"(module {from_library(code, 'f')} {longer})"))
        return code

    def test_a_library_may_import_from_libraries(self, machine: Hypervisor) -> None:
        code = self.chain(machine, MAX_LIBRARY_DEPTH)
        assert end(machine, actor("(call $f)", from_library(code, "f"))).exit_code == 100 + MAX_LIBRARY_DEPTH

    def test_library_depth_is_limited(self, machine: Hypervisor) -> None:
        code = self.chain(machine, MAX_LIBRARY_DEPTH)
        above = wasm(f'(module {from_library(code, "f")} (func (export "g") (result i32) (call $f)))')
        higher = machine.install(above)
        with pytest.raises(InvalidModule, match="is nested too deeply: at most 4 libraries may import each other"):
            machine.install(actor("(call $g)", from_library(higher, "g")))
        both = actor("(i32.add (call $f) (call $g))", from_library(code, "f"), from_library(higher, "g"))
        with pytest.raises(InvalidModule, match="is nested too deeply"):
            machine.install(both)

    def test_library_is_instantiated_once_for_all_importers(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        other = machine.install(
            wasm(f'(module {from_library(code, "count")} (func (export "again") (result i32) (call $count)))')
        )
        body = "(i32.add (call $count) (i32.mul (i32.const 10) (call $again)))"
        result = end(machine, actor(body, from_library(code, "count"), from_library(other, "again")))
        assert result.exit_code == 100 + 21

    @pytest.mark.parametrize("count", [MAX_LIBRARIES, MAX_LIBRARIES + 1])
    def test_number_of_libraries_is_limited(self, machine: Hypervisor, count: int) -> None:
        codes = [
            machine.install(wasm(f'(module (func (export "f{number}") (result i32) (i32.const {number})))'))
            for number in range(count)
        ]
        imported = [from_library(code, f"f{number}") for number, code in enumerate(codes)]
        module = actor("(call $f3)", *imported)
        if count > MAX_LIBRARIES:
            with pytest.raises(InvalidModule, match="needs more than 16 libraries"):
                machine.install(module)
        else:
            assert end(machine, module).exit_code == 103

    def test_circular_imports_are_refused(self) -> None:
        """Content addressing rules out circular imports, so the store maps CIDs to wrong content."""
        first, second = cid_of(b"first", RAW), cid_of(b"second", RAW)
        text = '(module {} (func (export "g") (result i32) (call $f)) (export "f" (func 0)))'
        modules = {
            first: wasm(text.format(from_library(second, "f"))),
            second: wasm(text.format(from_library(first, "f"))),
        }
        with pytest.raises(InvalidModule, match="imports itself through 2 modules"):
            resolve(cid_of(b"actor", RAW), actor("(call $f)", from_library(first, "f")), modules.get)


class TestRefused:
    def refusal(self, machine: Hypervisor, module: bytes) -> str:
        with pytest.raises(InvalidModule) as caught:
            machine.install(module)
        return str(caught.value)

    def test_missing_library_is_refused(self, machine: Hypervisor) -> None:
        missing = cid_of(b"nothing", RAW)
        said = self.refusal(machine, actor("(call $f)", from_library(missing, "f")))
        assert said == f"the library {show(missing)} is not installed: install it first"

    @pytest.mark.parametrize(
        ("imported", "said"),
        [
            (
                '"count" (func (param i32) (result i32))',
                "has the type (i32) -> (i32), the library's function has () -> (i32)",
            ),
            ('"count" (func)', "has the type () -> (), the library's function has () -> (i32)"),
            ('"missing" (func)', "the library does not export a function of that name"),
            ('"memory" (func)', "the library does not export a function of that name"),
            ('"count" (global i32)', "is neither a function nor a memory, and a library exports nothing else"),
            ('"count" (table 1 funcref)', "is neither a function nor a memory, and a library exports nothing else"),
        ],
    )
    def test_an_import_that_the_library_does_not_answer(self, machine: Hypervisor, imported: str, said: str) -> None:
        code = machine.install(wasm(LIBRARY))
        name = f"lib:{show(code)}"
        assert said in self.refusal(machine, actor("(i32.const 0)", f'(import "{name}" {imported})'))

    @pytest.mark.parametrize(
        ("limits", "said"),
        [("2", "wants 2 to None pages of memory, the library's has 1 to 4"), ("1 3", "wants 1 to 3 pages")],
    )
    def test_memory_with_other_limits_is_refused(self, machine: Hypervisor, limits: str, said: str) -> None:
        code = machine.install(wasm(LIBRARY))
        memory = f'(import "lib:{show(code)}" "memory" (memory {limits})) (export "memory" (memory 0))'
        assert said in self.refusal(machine, actor("(i32.const 0)", memory=memory))

    @pytest.mark.parametrize(
        ("library", "said"),
        [
            ('(func (export "f")) (start 0)', "the library has a start function"),
            ('(memory 1) (func (export "f"))', "the library's memory has no maximum, the limit is 256"),
            (
                '(memory 1 257) (func (export "f"))',
                "a maximum of 257 pages, the limit is 256: link it with --max",
            ),
            ('(table 20001 funcref) (func (export "f"))', "has 20001 elements, at most 20000"),
            ("(memory 1 1)", "the library has no code"),
            ('(func (export "\\00gas"))', "exports a name that is reserved"),
        ],
    )
    def test_library_rule_violations_are_reported(self, machine: Hypervisor, library: str, said: str) -> None:
        assert said in self.refusal(machine, wasm(f"(module {library})"))

    def test_library_importing_machine_functions_is_refused(self, machine: Hypervisor) -> None:
        text = (
            f'(module {imports("vm.exit")} (memory (export "memory") 1) (func (export "f") (result i32) (i32.const 0)))'
        )
        code = machine.install(wasm(text))  # as an actor's code without an `invoke`
        said = self.refusal(machine, actor("(call $f)", from_library(code, "f")))
        assert said == f"the library {show(code)} is not a library: it imports vm.exit, which is for actors"

    def test_an_actor_is_no_library(self, machine: Hypervisor) -> None:
        text = '(module (memory (export "memory") 1) (func (export "invoke") (param i32) (result i32) (i32.const 0)))'
        code = machine.install(wasm(text))
        imported = from_library(code, "invoke", "(param i32) (result i32)")
        assert "it exports `invoke`" in self.refusal(machine, actor("(i32.const 0)", imported))

    def test_references_do_not_go_from_module_to_module(self, machine: Hypervisor) -> None:
        code = machine.install(wasm('(module (func (export "f") (param funcref)))'))
        said = self.refusal(machine, actor("(i32.const 0)", from_library(code, "f", "(param funcref)")))
        assert "only numbers can be passed between modules" in said

    def test_oversized_library_is_refused(self, machine: Hypervisor) -> None:
        largest, larger = padded_library(MAX_LIBRARY_BYTES), padded_library(MAX_LIBRARY_BYTES + 1)
        assert (len(largest), len(larger)) == (MAX_LIBRARY_BYTES, MAX_LIBRARY_BYTES + 1)
        code = machine.install(largest)
        assert end(machine, actor("(call $f)", from_library(code, "f"))).exit_code == 107
        said = "has 1,048,577 bytes, the limit is 1,048,576"
        assert said in self.refusal(machine, larger)
        other, found = cid_of(larger, RAW), actor("(call $f)", from_library(cid_of(larger, RAW), "f"))
        with pytest.raises(InvalidModule, match=said):
            resolve(cid_of(found, RAW), found, {other: larger}.get)

    @pytest.mark.parametrize("count", [MAX_EXPORTS, MAX_EXPORTS + 1])
    def test_too_many_exports_are_refused(self, machine: Hypervisor, count: int) -> None:
        module = exporting(count)
        if count == MAX_EXPORTS:
            machine.install(module)
        else:
            assert "has 1,001 exports, the limit is 1,000" in self.refusal(machine, module)

    def test_more_imports_than_are_linked(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        one = f'(import "lib:{show(code)}" "count" (func (result i32)))'
        said = self.refusal(machine, actor("(i32.const 0)", one * MAX_IMPORTS))
        assert "has 1,001 imports, the limit is 1,000" in said

    @pytest.mark.parametrize(
        "name",
        ["lib:", "lib:x", "lib:bafy2bzaceaa", "lib:" + show(cid_of(b"")), "lib:" + show(cid_of(b"", RAW)).upper()],
    )
    def test_invalid_library_import_name_is_rejected(self, machine: Hypervisor, name: str) -> None:
        said = self.refusal(machine, actor("(i32.const 0)", f'(import "{name}" "f" (func))'))
        assert "does not name a library" in said

    def test_second_memory_is_refused(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        memory = f'(import "lib:{show(code)}" "memory" (memory 1))'
        module = actor("(i32.const 0)", memory, memory=memory + ' (export "memory" (memory 0))')
        assert "the module has several memories" in self.refusal(machine, module)


class TestInstalled:
    """A block in the store is not a library, since its presence differs between machines."""

    def test_uninstalled_block_is_rejected_as_library(self, machine: Hypervisor) -> None:
        library = wasm(LIBRARY)
        machine.store.put(cid_of(library, RAW), library)
        module = actor("(call $count)", from_library(cid_of(library, RAW), "count"))
        with pytest.raises(InvalidModule, match="is not installed: install it first"):
            machine.install(module)
        result = call(machine, install_actor(machine, module))
        assert "is not installed: install it first" in result.message

    def test_installed_library_survives_flush_before_linking(self, machine: Hypervisor) -> None:
        module = actor("(call $count)", from_library(machine.install(wasm(LIBRARY)), "count"))
        machine.install(module)
        to = install_actor(machine, module)
        machine.flush()
        assert call(machine, to).exit_code == 101

    def test_unlisted_code_is_refused_where_users_install_code(self) -> None:
        """Machines with and without the block refuse alike until the init actor installs it."""
        library = wasm(LIBRARY)
        module = actor("(call $count)", from_library(cid_of(library, RAW), "count"))
        machine = with_m2_native()
        for stray in (False, True):
            if stray:
                machine.store.put(cid_of(library, RAW), library)
            assert install_by_message(machine, module).exit_code == ExitCode.USR_ILLEGAL_ARGUMENT
            refused = call(machine, install_actor(machine, module))
            assert refused.exit_code == ExitCode.SYS_INVALID_RECEIVER
            assert "is not installed: install it first" in refused.message
        for code in (library, module):
            assert install_by_message(machine, code).exit_code == 0
        assert call(machine, install_actor(machine, module)).exit_code == 101

    @pytest.mark.parametrize(
        "module",
        [
            wasm('(module (func (export "invoke_twice") (result i32) (i32.const 7)))'),
            wasm('(module (func (export "f") (result i32) (i32.const 7)))') + section(0, name("n") + b"FnOnce::invoke"),
        ],
        ids=["in the name of an export", "in a section of names"],
    )
    def test_a_library_may_have_the_word_invoke_in_it(self, machine: Hypervisor, module: bytes) -> None:
        function = "invoke_twice" if b"invoke_twice" in module else "f"
        code = machine.install(module)
        assert end(machine, actor(f"(call ${function})", from_library(code, function))).exit_code == 107
        assert call(machine, install_actor(machine, module)).exit_code == ExitCode.SYS_INVALID_RECEIVER


def exporting(count: int) -> bytes:
    """Return a library with `count` exports of functions that return 7."""
    exports = " ".join(f'(export "f{index}")' for index in range(count))
    return wasm(f"(module (func {exports} (result i32) (i32.const 7)))")


def with_m2_native() -> Hypervisor:
    """Return a machine on which messages can install libraries."""
    return Hypervisor.open(rules="lab:libraries", overlay=with_features(["m2-native"]))


def install_by_message(machine: Hypervisor, module: bytes) -> ApplyResult:
    return call(machine, Address.id(INIT_ACTOR), encode([module]), method=4)


class Charges(Tracer):
    """A tracer that records the charges of linking in gas."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def event(self, event: TraceEvent) -> None:
        if isinstance(event, GasCharged) and event.name == "wasm_link":
            self.seen.append(event.milligas // 1000)


@contextmanager
def counted_reads() -> Iterator[list[int]]:
    """Record the sizes of the modules that are parsed for linking."""
    sizes: list[int] = []

    def read(module: bytes) -> LinkableModule:
        sizes.append(len(module))
        return read_module(module)

    with patch.object(linked, "read_module", read):
        yield sizes


def counted_lines(run: Callable[[], object]) -> int:
    """Return the number of Python lines executed; a loop on one line counts each iteration."""
    lines, before = [0], sys.gettrace()

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        del frame, argument
        lines[0] += event == "line"
        return trace

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return lines[0]


class TestWork:
    """Work of calls and installations, in proportion to their gas."""

    @pytest.mark.slow
    def test_actors_sharing_large_libraries_keep_their_links_cached(self, machine: Hypervisor) -> None:
        """Five actors with 16 libraries of 1 MiB each would need 80 MiB if each counted separately."""
        libraries = [padded_library(MAX_LIBRARY_BYTES - 1 - number) for number in range(MAX_LIBRARIES)]
        imported = [
            f'(import "lib:{show(machine.install(library))}" "f" (func $f{number} (result i32)))'
            for number, library in enumerate(libraries)
        ]
        modules = [actor(f"(i32.const {number})", *imported) for number in range(5)]
        linked = []
        link = LinkedModules.link

        def counting(self: LinkedModules, units: Sequence[LinkedUnit], *rest: Any) -> LinkedProgram:
            linked.append(len(units))
            return link(self, units, *rest)

        with patch.object(LinkedModules, "link", counting), counted_reads() as read:
            ends = [end(machine, module, 10**9) for module in modules]
            assert (linked, len(read)) == ([17] * 5, 5), "the libraries were read when they were installed"
            again = [call(machine, install_actor(machine, module), gas_limit=10**9) for module in modules]
            assert (linked, len(read)) == ([17] * 5, 5)
        assert [one.exit_code for one in ends] == [100, 101, 102, 103, 104]
        assert again == ends

    def test_linking_is_paid_for_before_it_is_done(self) -> None:
        """A library is not read if the gas does not suffice for it."""
        machine = Hypervisor.open(rules="lab:libraries")
        library = padded_library(100_003)
        module = actor("(call $f)", from_library(machine.install(library), "f"))
        machine.install(module)
        linked.linked_modules.cache_clear()
        machine = reopened_with(library)
        to = install_actor(machine, module)
        with counted_reads() as read:
            assert call(machine, to, gas_limit=600_000).exit_code == ExitCode.SYS_OUT_OF_GAS
            assert read == [len(module)]
            assert call(machine, to, gas_limit=10**7).exit_code == 107

    def test_a_call_is_charged_alike_whether_it_links_or_not(self, machine: Hypervisor) -> None:
        library = wasm(LIBRARY)
        above = wasm(
            f'(module {from_library(machine.install(library), "count")} (func (export "f") (result i32) call 0))'
        )
        machine.install(above)
        module = actor("(call $f)", from_library(cid_of(above, RAW), "f"), from_library(cid_of(library, RAW), "count"))
        machine.install(module)
        to, seen = install_actor(machine, module), []
        for _ in range(2):
            tracer = machine.tracer = Charges()
            assert call(machine, to).exit_code == 101
            seen.append(tracer.seen)
        of_libraries = [30_000 + 10 * len(code) for code in (above, library)]
        assert seen[0] == [4_000, of_libraries[0], 2_000, of_libraries[1]]
        assert seen[1] == seen[0]

    def test_library_import_resolution_avoids_linear_search(self, machine: Hypervisor) -> None:
        """The maximum numbers of imports and exports would take a million steps with a linear search."""
        code = machine.install(exporting(MAX_EXPORTS))
        imported = [
            f'(import "lib:{show(code)}" "f{MAX_EXPORTS - 1 - index}" (func (result i32)))'
            for index in range(MAX_IMPORTS - 1)
        ]
        module = actor("(i32.const 0)", *imported)
        known = {cid_of(wasm, RAW): read_module(wasm) for wasm in (module, exporting(MAX_EXPORTS))}
        steps = counted_lines(
            lambda: resolve(cid_of(module, RAW), module, machine.store.get, read=lambda digest, _: known[digest])
        )
        assert steps < 50 * MAX_IMPORTS

    def test_reinstall_reads_no_code_and_charges_gas(self) -> None:
        """Any actor may call `install_actor` in a loop."""
        machine = with_m2_native()
        library = padded_library(50_003)
        module = actor("(call $f)", from_library(cid_of(library, RAW), "f"))
        for code in (library, module):
            assert install_by_message(machine, code).exit_code == 0
        tracer = machine.tracer = Charges()
        looping = guest(
            """(loop
                (if (call $install_actor (i32.const 100)) (then unreachable))
                (br_if 0 (i32.lt_u (local.tee $times (i32.add (local.get $times) (i32.const 1))) (i32.const 3))))
            (i32.const 0)""",
            "actor.install_actor",
            fields=data(100, cid_of(module, RAW)),
            locals_="(local $times i32)",
        )
        with counted_reads() as read:
            assert call(machine, install_actor(machine, looping)).exit_code == 0
        assert read == []
        assert tracer.seen == [100 * len(module), 2_000, 100 * len(library)] * 3


def reopened_with(library: bytes) -> Hypervisor:
    """Return a machine of a process without cached links, with a library installed."""
    machine = Hypervisor.open(rules="lab:libraries")
    machine.install(library)
    linked.linked_modules(default_folder())._parsed = BoundedCache(1 << 20, "linked_modules")
    return machine


def test_a_library_that_a_state_has_lost_is_a_clear_error(machine: Hypervisor) -> None:
    """The process has linked the library before."""
    module = actor("(call $count)", from_library(machine.install(wasm(LIBRARY)), "count"))
    assert end(machine, module).exit_code == 101
    other = Hypervisor.open(rules="lab:libraries")
    result = call(other, install_actor(other, module))
    assert result.exit_code == 10
    assert "is not installed: install it first" in result.message


def test_libraries_are_unavailable_without_lab() -> None:
    machine = Hypervisor.open()
    code = cid_of(b"", RAW)
    with pytest.raises(InvalidModule, match=r"the import lib:bafk\w+\.f is not a syscall"):
        machine.install(actor("(call $f)", from_library(code, "f")))


def test_the_lab_takes_no_option() -> None:
    with pytest.raises(InvalidInput, match="lab 'libraries' takes no option"):
        Hypervisor.open(rules="lab:libraries=1")


def test_machines_that_share_runtimes_link_once(machine: Hypervisor) -> None:
    _, first = machine.registry.runtime_for(machine.manifest.code("account"))
    with machine.fork() as fork:
        _, second = fork.registry.runtime_for(machine.manifest.code("account"))
        assert second is first


class TestPrograms:
    @pytest.mark.parametrize("seed", range(12))
    def test_a_random_program_is_as_its_static_form(self, seed: int) -> None:
        assert play(seed).findings == []
