"""Foundry projects for bench_solidity, written to a new folder, so that nothing of an earlier run is cached."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

_HEAD: Final = "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.20;\n"
_CONTRACTS: Final = 10
_TRIVIAL_TESTS: Final = 100
_LEDGERS, _LEDGER_TESTS = 3, 11
_SHARES: Final = 12
EDITED: Final = "test/Share0.t.sol"
"""The file of the shares project that is edited."""

_LEDGER: Final = """contract Ledger{number} {{
    mapping(address => uint256) public held;
    uint256 public total;
    error TooMuch(uint256 asked, uint256 held);
    event Moved(address indexed from, address indexed to, uint256 amount);

    function put(uint256 amount) external {{
        held[msg.sender] += amount;
        total += amount;
    }}

    function move(address to, uint256 amount) external returns (uint256 left) {{
        left = held[msg.sender];
        if (amount > left) revert TooMuch(amount, left);
        unchecked {{
            left -= amount;
        }}
        held[msg.sender] = left;
        held[to] += amount;
        emit Moved(msg.sender, to, amount);
    }}

    function sum(uint256[] memory amounts) external pure returns (uint256 found) {{
        for (uint256 i = 0; i < amounts.length; i++) {{
            found += amounts[i];
        }}
    }}
}}
"""
_LEDGER_TEST: Final = """    function test_moves_{index}() public {{
        ledger.put({index} + 10);
        require(ledger.move(address({index} + 1), {index}) == 10);
        require(ledger.held(address({index} + 1)) == {index});
        uint256[] memory amounts = new uint256[]({index} + 5);
        require(ledger.sum(amounts) == 0);
    }}
"""
_FUZZED: Final = """contract Fuzzed {
    function testFuzz_sum(uint128 a, uint128 b) public pure {
        uint256 sum = uint256(a) + b;
        require(sum >= a && sum - a == b);
    }
}
"""
_SEQUENCES: Final = """contract Purse {
    mapping(address => uint256) public held;
    uint256 public total;

    function put(uint96 amount) external {
        held[msg.sender] += amount;
        total += amount;
    }

    function take(uint96 amount) external {
        uint256 mine = held[msg.sender];
        uint256 taken = amount > mine ? mine : amount;
        held[msg.sender] = mine - taken;
        total -= taken;
    }
}

contract SequencesTest {
    Purse purse;

    function setUp() public {
        purse = new Purse();
    }

    function invariant_total() public view {
        require(purse.total() < 1 << 200);
    }
}
"""
_HANDLED: Final = """interface Vm {
    function deal(address account, uint256 balance) external;
    function prank(address sender) external;
}

contract Vault {
    mapping(address => uint256) public held;
    uint256 public total;

    function put() external payable {
        held[msg.sender] += msg.value;
        total += msg.value;
    }

    function take(uint256 amount) external {
        uint256 mine = held[msg.sender];
        uint256 taken = amount > mine ? mine : amount;
        held[msg.sender] = mine - taken;
        total -= taken;
        payable(msg.sender).transfer(taken);
    }
}

contract Handler {
    Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Vault vault;

    constructor(Vault handled) {
        vault = handled;
    }

    function put(uint160 seed, uint96 amount) external {
        address user = address(0x10000 + seed % 10);
        vm.deal(user, amount);
        vm.prank(user);
        vault.put{value: amount}();
    }

    function take(uint160 seed, uint96 amount) external {
        address user = address(0x10000 + seed % 10);
        vm.deal(user, 0);
        vm.prank(user);
        vault.take(amount);
    }
}

contract HandledTest {
    Vault vault;
    address[] handlers;

    function setUp() public {
        vault = new Vault();
        handlers.push(address(new Handler(vault)));
    }

    function targetContracts() public view returns (address[] memory) {
        return handlers;
    }

    function invariant_total() public view {
        require(address(vault).balance == vault.total());
    }
}
"""
_SHARE: Final = """import {{ERC20}} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {{ERC20Permit}} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {{ERC20Votes}} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {{AccessControl}} from "@openzeppelin/contracts/access/AccessControl.sol";
import {{ReentrancyGuard}} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {{Nonces}} from "@openzeppelin/contracts/utils/Nonces.sol";

contract Share{number} is ERC20Permit, ERC20Votes, AccessControl, ReentrancyGuard {{
    bytes32 public constant ISSUER = keccak256("ISSUER");

    constructor() ERC20("Share", "S{number}") ERC20Permit("Share") {{
        _grantRole(DEFAULT_ADMIN_ROLE, msg.sender);
    }}

    function issue(address to, uint256 amount) external nonReentrant onlyRole(ISSUER) {{
        _mint(to, amount);
    }}

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {{
        super._update(from, to, value);
    }}

    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {{
        return super.nonces(owner);
    }}
}}
"""
_SHARE_TEST: Final = """import {{Test}} from "forge-std/Test.sol";
import {{Share{number}}} from "../src/Share{number}.sol";

contract Share{number}Test is Test {{
    Share{number} share;

    function setUp() public {{
        share = new Share{number}();
        share.grantRole(share.ISSUER(), address(this));
    }}

    function test_issues() public {{
        share.issue(address(7), 5);
        assertEq(share.balanceOf(address(7)), 5);
    }}

    function test_only_issuers_issue() public {{
        vm.prank(address(9));
        vm.expectRevert();
        share.issue(address(9), 5);
    }}

    function test_votes() public {{
        share.issue(address(this), 8);
        share.delegate(address(3));
        assertEq(share.getVotes(address(3)), 8);
    }}
}}
"""


def write_trivial(root: Path) -> None:
    """Write contracts with tests that write and read a slot."""
    for number in range(_CONTRACTS):
        tests = "".join(
            f"    function test_{index}() public {{ value += {index}; require(value == {index}); }}\n"
            for index in range(_TRIVIAL_TESTS)
        )
        _write(root, f"test/T{number}.t.sol", f"contract T{number} {{\n    uint256 value;\n{tests}}}\n")
    _configure(root)


def write_ledgers(root: Path) -> None:
    """Write 33 tests of three small contracts."""
    for number in range(_LEDGERS):
        tests = "".join(_LEDGER_TEST.format(index=index) for index in range(_LEDGER_TESTS))
        _write(root, f"src/Ledger{number}.sol", _LEDGER.format(number=number))
        _write(
            root,
            f"test/Ledger{number}.t.sol",
            f'import {{Ledger{number}}} from "../src/Ledger{number}.sol";\n\ncontract Ledger{number}Test {{\n'
            f"    Ledger{number} ledger = new Ledger{number}();\n\n{tests}}}\n",
        )
    _configure(root)


def write_fuzzed(root: Path) -> None:
    """Write one simple fuzz test."""
    _write(root, "test/Fuzzed.t.sol", _FUZZED)
    _configure(root)


def write_sequences(root: Path) -> None:
    """Write one invariant test of a contract with two functions."""
    _write(root, "test/Sequences.t.sol", _SEQUENCES)
    _configure(root)


def write_handled(root: Path) -> None:
    """Write one invariant test whose calls pass through a handler with `deal` and `prank`."""
    _write(root, "test/Handled.t.sol", _HANDLED)
    _configure(root)


def write_shares(root: Path, suites: Path) -> None:
    """Write 76 files: tokens of OpenZeppelin's contracts with tests of forge-std; `suites` are the public ones."""
    for number in range(_SHARES):
        _write(root, f"src/Share{number}.sol", _SHARE.format(number=number))
        _write(root, f"test/Share{number}.t.sol", _SHARE_TEST.format(number=number))
    for library, folder in (("forge-std", "src"), ("openzeppelin-contracts", "contracts")):
        shutil.copytree(suites / library / folder, root / "lib" / library / folder)
    _configure(
        root,
        'remappings = ["@openzeppelin/contracts/=lib/openzeppelin-contracts/contracts/"]\noptimizer = true\n',
    )


def edit(root: Path, count: int) -> None:
    """Edit one test of the shares project to use another number."""
    _write(root, EDITED, _SHARE_TEST.format(number=0).replace("address(7)", f"address({100 + count})"))


def _configure(root: Path, settings: str = "") -> None:
    (root / "foundry.toml").write_text(f"[profile.default]\n{settings}", encoding="utf-8")


def _write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_HEAD + text, encoding="utf-8")
