"""Stack costs of calls. The expected heights are those of the reference's own small programs."""

import pytest

from hypervisor.errors import InvalidModule
from hypervisor.machine.machine import Hypervisor
from runtimes.wasm.module import instrumentation
from runtimes.wasm.module.instrumentation import charges, decode, stack_cost
from runtimes.wasm.module.parser import parse_module
from tests.conftest import data_file
from tests.runtimes.wasm.guests import bundle_modules, install_and_call, wasm
from tests.runtimes.wasm.plain_passes import Meter, disassemble


def costs(data: bytes) -> list[int]:
    module = parse_module(data)
    signatures = [module.types[index] for index in module.function_type_indices()]
    defined = signatures[len(module.imported_functions) :]
    return [
        stack_cost(decode(data, body.code_at, body.end), body.local_groups, len(kind.results), module.types, signatures)
        for kind, body in zip(defined, module.bodies, strict=True)
    ]


FRAME = 2


@pytest.mark.parametrize(
    ("functions", "height"),
    [
        ("(func (i32.const 1) (i32.const 2) (i32.const 3) drop drop drop)", 3),
        ("(func (result i32) (i32.const 0) return)", 1),
        ("(memory 0) (func (result i32) unreachable memory.grow)", 0),
        # the reference's program leaves the last three values, which text form would refuse
        (
            "(func (i32.const 0) (i32.const 1) drop drop unreachable (i32.const 0) (i32.const 1) (i32.const 2)"
            " drop drop drop)",
            2,
        ),
        ("(func block (result i32) block (result i32) (i32.const 99) br 1 end end drop)", 1),
        (
            "(func (i32.const 7) (i32.const 1) if (result i32) (i32.const 42) else (i32.const 99) end (i32.const 97)"
            " drop drop drop)",
            3,
        ),
        (
            "(table 1 1 funcref) (elem (i32.const 0) func 1)"
            "(func (call_indirect (i32.const 0)) (call_indirect (i32.const 0))) (func (drop (i64.const 42)))",
            1,
        ),
    ],
)
def test_the_greatest_height_of_the_reference_programs(functions: str, height: int) -> None:
    assert costs(wasm(f"(module {functions})"))[0] == FRAME + height


def test_groups_of_locals_count_and_not_locals() -> None:
    assert costs(wasm("(module (func (local i32 i32 i32 i64 i32)))")) == [FRAME + 3]


def test_parameters_do_not_count() -> None:
    assert costs(wasm("(module (func (param i32 i64 f64)))")) == [FRAME]


@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["v12-testing-fake-proofs", "v16-testing-fake-proofs"])
def test_the_deepest_function_of_official_actors_costs_36(bundle: str) -> None:
    # counted by an independent reading of the reference
    assert max(max(costs(data)) for data in bundle_modules(data_file(f"bundles/{bundle}.car"))) == 36


@pytest.mark.parametrize(
    ("body", "height"),
    [
        # what the first branch left is still there in the second: 1 + two operands
        ("(if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.add (i32.const 2) (i32.const 3)))) drop", 3),
        # a first branch that cannot be left hides the second one
        ("(if (local.get 0) (then unreachable) (else (drop (i32.add (i32.const 2) (i32.const 3)))))", 1),
        # but not what follows both
        ("(if (local.get 0) (then unreachable) (else)) (drop (i32.add (i32.const 2) (i32.const 3)))", 2),
    ],
)
def test_else_does_not_reset_tracked_stack_height(body: str, height: int) -> None:
    assert costs(wasm(f"(module (func (param i32) {body}))")) == [FRAME + height]


def test_unreachable_code_unsupported_by_reference_is_refused() -> None:
    # 2 is the height at entry; each add takes two from what is no longer above the block's beginning
    with pytest.raises(InvalidModule, match="unreachable code"):
        costs(wasm("(module (func (result i32) (i32.const 1) unreachable i32.add i32.add i32.add))"))


# down costs 4 (no locals; four values at most: 2 + local.get, i32.const), invoke 3: 3 + 4 * 511 = 2047
RECURSION = """(module (memory (export "memory") 1)
    (func $down (param i32) (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
    (func (export "invoke") (param i32) (result i32) (call $down (i32.const {depth})) (i32.const 0)))"""


def test_511_calls_of_cost_4_pass_and_512_trap(machine: Hypervisor) -> None:
    assert install_and_call(machine, wasm(RECURSION.format(depth=510))).exit_code == 0
    assert install_and_call(machine, wasm(RECURSION.format(depth=511))).exit_code == 4


def test_calls_through_the_table_are_counted_too(machine: Hypervisor) -> None:
    endless = """(module (memory (export "memory") 1) (table 1 funcref) (elem (i32.const 0) $f) (type $t (func))
        (func $f (call_indirect (type $t) (i32.const 0)))
        (func (export "invoke") (param i32) (result i32) (call $f) (i32.const 0)))"""
    result = install_and_call(machine, wasm(endless))
    assert result.exit_code == 4
    assert result.gas_used < 300_000


FIXTURE = """(module (func (result i32) (local i32)
    (block
        (local.set 0 (i32.const 1)) (local.set 0 (i32.const 2))
        (local.get 0) (local.get 0) (local.tee 0) (i32.add) (local.set 0)
        (br_if 0 (i32.const 1))
        (local.set 0 (i32.add (local.get 0) (local.tee 0 (local.get 0)))))
    (local.get 0)))"""


def charges_of(text: str) -> list[tuple[int, int]]:
    """Return the charges of the first function as (instruction index, milligas)."""
    data = wasm(text)
    module = parse_module(data)
    body = module.bodies[0]
    found = charges(decode(data, body.code_at, body.end), body.code_at, len(module.imported_functions))
    return [(len(disassemble(data[body.code_at : offset])), price) for offset, price, _ in found.blocks]


def test_the_published_fixture_with_a_price_of_one() -> None:
    prices = dict.fromkeys(range(256), 1)
    module = parse_module(wasm(FIXTURE))
    body = module.bodies[0]
    plain = Meter(prices).run(disassemble(module.data[body.code_at : body.end]))
    assert plain == [(0, 13), (12, 5)]


def test_the_fixture_with_the_networks_prices() -> None:
    # the same, but `block` is free
    assert charges_of(FIXTURE) == [(0, 12 * 4000), (12, 5 * 4000)]


def test_the_default_label_of_br_table_is_no_branch_target() -> None:
    text = """(module (func (param i32)
        (block (block (br_table {labels} (local.get 0))) (drop (i32.const 1))) (drop (i32.const 2))))"""
    # If a listed label may jump over `i32.const 1`, that instruction is charged separately. If the default label does,
    # ref-fvm treats the instruction as unconditional and charges for it at the beginning.
    listed, default = charges_of(text.format(labels="1 0")), charges_of(text.format(labels="0 1"))
    assert listed == [(0, 12000), (5, 4000)]
    assert default == [(0, 16000)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bundle", "by_actor"),
    [
        # counted by an independent reading of the reference
        ("v10-mainnet", {4: 1, 6: 3, 7: 1, 10: 2}),
        ("v12-testing-fake-proofs", 6),
        ("v13-testing-fake-proofs", 7),
        ("v15-testing-fake-proofs", 8),
        ("v16-testing-fake-proofs", 30),
        ("v17-testing-fake-proofs", 20),
        ("v18-mainnet", 19),
    ],
)
def test_missing_branch_target_changes_the_counted_functions(
    bundle: str, by_actor: dict[int, int] | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_the_network = instrumentation._targets

    def with_default(op: int, labels: tuple[int, ...], innermost: int) -> list[int]:
        return [innermost - label for label in labels] if op == 0x0E else as_the_network(op, labels, innermost)

    changed: dict[int, int] = {}
    for place, data in enumerate(bundle_modules(data_file(f"bundles/{bundle}.car"))):
        module = parse_module(data)
        imported = len(module.imported_functions)
        for body in module.bodies:
            code = decode(data, body.code_at, body.end)
            if all(op != 0x0E for op in code.ops):
                continue
            monkeypatch.setattr(instrumentation, "_targets", as_the_network)
            network = charges(code, body.code_at, imported)
            monkeypatch.setattr(instrumentation, "_targets", with_default)
            if network != charges(code, body.code_at, imported):
                changed[place] = changed.get(place, 0) + 1
    assert (changed if isinstance(by_actor, dict) else sum(changed.values())) == by_actor


def test_a_negative_constant_operand_is_refused() -> None:
    with pytest.raises(ValueError, match="negative constant operand"):
        charges_of("(module (memory 1) (func (drop (memory.grow (i32.const -1)))))")
