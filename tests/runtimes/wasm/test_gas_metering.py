"""Positions of gas charges: the published fixture, and ref-fvm's missing branch target of br_table."""

import pytest

from runtimes.wasm import gas_metering
from runtimes.wasm.gas_metering import charges
from runtimes.wasm.module.instrumentation import decode
from runtimes.wasm.module.parser import parse_module
from tests.conftest import data_file
from tests.runtimes.wasm.guests import bundle_modules, wasm
from tests.runtimes.wasm.plain_passes import Meter, disassemble

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
    as_the_network = gas_metering._targets

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
            monkeypatch.setattr(gas_metering, "_targets", as_the_network)
            network = charges(code, body.code_at, imported)
            monkeypatch.setattr(gas_metering, "_targets", with_default)
            if network != charges(code, body.code_at, imported):
                changed[place] = changed.get(place, 0) + 1
    assert (changed if isinstance(by_actor, dict) else sum(changed.values())) == by_actor


def test_a_negative_constant_operand_is_refused() -> None:
    with pytest.raises(ValueError, match="negative constant operand"):
        charges_of("(module (memory 1) (func (drop (memory.grow (i32.const -1)))))")
