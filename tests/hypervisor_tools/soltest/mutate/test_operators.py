"""Mutants of sources, from the compiler's syntax trees; the expected ones are written by hand."""

import pytest

from hypervisor_tools.soltest.mutate.operators import Mutant, mutants_of
from hypervisor_tools.soltest.project.test_settings import OPERATORS
from tests.hypervisor_tools.soltest.mutate import recorded, replay

TEXT = recorded.OPERATORS.read_text(encoding="utf-8")
EXPECTED = {
    6: ["- ->", "-a * 2 -> 0", "* -> +", "* -> /", "2 -> (2 + 1)", "2 -> 0"],
    16: ["0x01ffc9a7 -> 0x00000000", "0x01ffc9a7 -> 0x01ffc9a8"],
    20: ["b -> !(b)", "b -> false", "b -> true", "small[0] = 1; -> {}", "0 -> 1", "1 -> (1 + 1)"],
    21: [
        "a > 0 && c != address(0) -> a > 0", "a > 0 && c != address(0) -> c != address(0)",
        "a > 0 && c != address(0) -> false", "a > 0 && c != address(0) -> true", "> -> >=", "0 -> 1", "&& -> ||",
        "!= -> ==", "0 -> 1", "a--; -> {}", "-- -> ++",
    ],
    22: [
        "i < a -> false", "< -> <=", "++ -> --", "a ^= 7; -> {}", "^= -> &=", "^= -> =", "7 -> (7 + 1)", "7 -> 0",
    ],
    23: [
        "a /* a - b */ - 1 < 5 -> false", "a /* a - b */ - 1 < 5 -> true", "- -> *", "- -> +", "1 -> (1 + 1)",
        "< -> !=", "< -> <=", "5 -> (5 + 1)", "5 -> 0",
    ],
    24: ["! ->", "!b -> false", "!b -> true"],
    28: ["to.delegatecall(bytes(text)); -> {}", "delegatecall -> call"],
    29: ["(, result) = to.delegatecall(data); -> {}", "delegatecall -> call"],
    31: ["lt -> gt", "sstore(0, add(1, 2)) -> {}", "add -> sub"],
    36: ["revert Free_Error(1); -> {}", "1 -> (1 + 1)"],
    37: ["0x00000001 -> 0x00000000", "0x00000001 -> 0x00000002"],
}  # fmt: skip


@pytest.fixture(scope="module")
def mutants() -> list[Mutant]:
    tree = replay.answer_of(recorded.operators_input())["sources"]["Operators.sol"]["ast"]
    return mutants_of("Operators.sol", tree, TEXT, excluded=["OperatorsTest"])


def test_each_operator_makes_the_expected_changes_and_no_others(mutants: list[Mutant]) -> None:
    found: dict[int, list[str]] = {}
    for mutant in mutants:
        found.setdefault(mutant.line, []).append(f"{mutant.original} -> {mutant.replacement}".rstrip())
    assert found == EXPECTED


def test_changes_apply_at_the_byte_positions_of_the_tree(mutants: list[Mutant]) -> None:
    (mutant,) = [one for one in mutants if one.line == 28 and one.operator == "elim-delegate"]
    changed = mutant.apply(TEXT)
    assert changed == TEXT.replace("to.delegatecall(bytes(text))", "to.call(bytes(text))")
    assert TEXT.splitlines()[27][mutant.column - 1 :].startswith("delegatecall(bytes")  # after two-byte characters
    before, after = mutant.lines(TEXT)
    assert (before, after) == (TEXT.splitlines()[27].strip(), changed.splitlines()[27].strip())


def test_operators_can_be_excluded() -> None:
    tree = replay.answer_of(recorded.operators_input())["sources"]["Operators.sol"]["ast"]
    found = mutants_of("Operators.sol", tree, TEXT, [name for name in OPERATORS if name != "literal"])
    assert {mutant.operator for mutant in found} == {*OPERATORS} - {"literal", "modifier", "delete-expression"}


def test_contracts_can_be_excluded() -> None:
    tree = replay.answer_of(recorded.operators_input())["sources"]["Operators.sol"]["ast"]
    found = mutants_of("Operators.sol", tree, TEXT, excluded=["Operators"])
    assert {mutant.contract for mutant in found} == {"Free", "OperatorsTest"}


def test_a_contract_is_named_and_free_functions_have_none(mutants: list[Mutant]) -> None:
    assert {mutant.contract for mutant in mutants} == {"Free", "Operators"}


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("x == 0", "t_uint256", {"!=", ">="}),  # x <= 0 is the same
        ("x != 0", "t_uint256", {"==", "<"}),  # x > 0 is the same
        ("x <= 0", "t_uint256", {"<"}),
        ("x > 0", "t_uint256", {">="}),
        ("0 == x", "t_uint256", {"!=", "<="}),
        ("0 < x", "t_uint256", {"<="}),
        ("x == 0", "t_int256", {"!=", ">=", "<="}),
        ("x > 0", "t_int256", {">=", "!="}),
        ("x == 1", "t_uint256", {"!=", ">=", "<="}),
        ("x < type(uint256).max", "t_uint256", {"<="}),  # x != max is the same
        ("x >= type(uint256).max", "t_uint256", {">"}),
        ("x == type(uint256).max", "t_uint256", {"!=", "<="}),
        ("x != type(uint256).max", "t_uint256", {"==", ">"}),
        ("type(uint256).max > x", "t_uint256", {">="}),
        ("type(uint256).max <= x", "t_uint256", {"<"}),
        ("x > type(int64).min", "t_int64", {">="}),
        ("x < type(int64).max", "t_int64", {"<="}),
        ("x < type(uint256).max", "t_uint8", {"<="}),
        ("x < type(uint8).max", "t_uint256", {"<=", "!="}),  # 256 is larger
        ("x > type(uint256).max", "t_uint256", {">=", "!="}),
        ("x > type(int64).max", "t_int64", {">=", "!="}),
        ("x < 255", "t_uint8", {"<="}),
        ("x < 254", "t_uint8", {"<=", "!="}),
        ("x < (255)", "t_uint8", {"<="}),
    ],
)
def test_comparisons_with_limits_of_types_have_no_equivalent_mutants(text: str, kind: str, expected: set[str]) -> None:
    """The sets follow from the ranges of Solidity's types."""
    left, operator, right = text.split(" ")
    places = {left: (0, len(left)), right: (len(text) - len(right), len(right))}

    def limit(name: str) -> dict[str, object]:
        """Return the node of `type(T).max`, with the types that solc 0.8.30 names."""
        of, _, member = name.removeprefix("type(").partition(").")
        return {
            "nodeType": "MemberAccess", "memberName": member, "src": f"{places[name][0]}:{places[name][1]}:0",
            "typeDescriptions": {"typeIdentifier": f"t_{of}"},
            "expression": {
                "nodeType": "FunctionCall", "kind": "functionCall", "src": "0:0:0", "arguments": [],
                "expression": {"nodeType": "Identifier", "name": "type", "src": "0:0:0"},
                "typeDescriptions": {"typeIdentifier": f"t_magic_meta_type_t_{of}"},
            },
        }  # fmt: skip

    def side(name: str) -> dict[str, object]:
        if name.startswith("type("):
            return limit(name)
        if name.startswith("("):
            places[name[1:-1]] = places[name][0] + 1, places[name][1] - 2
            return {
                "nodeType": "TupleExpression", "src": f"{places[name][0]}:{places[name][1]}:0",
                "components": [side(name[1:-1])],
            }  # fmt: skip
        literal = name.isdigit()
        return {
            "nodeType": "Literal" if literal else "Identifier", "src": f"{places[name][0]}:{places[name][1]}:0",
            "typeDescriptions": {"typeIdentifier": f"t_rational_{name}_by_1" if literal else kind},
            **({"kind": "number", "value": name} if literal else {"name": name}),
        }  # fmt: skip

    node = {
        "nodeType": "BinaryOperation", "src": f"0:{len(text)}:0", "operator": operator,
        "leftExpression": side(left), "rightExpression": side(right),
    }  # fmt: skip
    tree = {"nodes": [{"nodeType": "FunctionDefinition", "src": f"0:{len(text)}:0", "body": node}]}
    found = {mutant.replacement for mutant in mutants_of("A.sol", tree, text, ["binary-op"])}
    assert found == expected
