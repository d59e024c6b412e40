// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ledger} from "../src/Ledger.sol";
import {filecoinVm} from "hypervisor/FilecoinVm.sol";

/// The cheatcodes of forge that these tests use; forge-std has them all.
interface Vm {
    function prank(address sender) external;
    function deal(address account, uint256 balance) external;
    function expectRevert(bytes calldata reason) external;
    function expectEmit(address emitter) external;
    function mockCall(address callee, bytes calldata data, bytes calldata result) external;
    function load(address account, bytes32 slot) external view returns (bytes32);
}

/// The same source as an EVM contract and as a RISC-V actor.
contract LedgerTest {
    Vm private constant vm = Vm(address(filecoinVm));

    Ledger private evm;
    Ledger private riscv;

    event Credited(address indexed to, uint256 amount);

    function setUp() public {
        evm = new Ledger(100);
        uint64 actor = filecoinVm.deployActor("src/Ledger.sol:Ledger@resolc", abi.encode(100));
        riscv = Ledger(address((uint160(0xff) << 152) | actor));
    }

    function testFuzz_BothFormsGiveEqualResults(address to, uint256 amount) public {
        (bool first, bytes memory one) = address(evm).call(abi.encodeCall(Ledger.credit, (to, amount)));
        (bool second, bytes memory two) = address(riscv).call(abi.encodeCall(Ledger.credit, (to, amount)));
        require(first == second && keccak256(one) == keccak256(two), "the results differ");
        require(evm.credits(to) == riscv.credits(to), "the states differ");
        bytes32 slot = keccak256(abi.encode(to, 0));
        require(vm.load(address(evm), slot) == vm.load(address(riscv), slot), "the slots differ");
    }

    function testCallsCrossTheBorder() public {
        Ledger[] memory others = new Ledger[](3);
        (others[0], others[1], others[2]) = (riscv, evm, riscv);
        require(evm.creditAll(others, address(this), 1) == 1 + 2 + 4 + 6, "another total");
    }

    function testRevertsAndEventsCrossTheBorder() public {
        vm.expectRevert(abi.encodeWithSelector(Ledger.AboveLimit.selector, 101, 100));
        riscv.credit(address(this), 101);
        vm.expectEmit(address(riscv));
        emit Credited(address(1), 7);
        riscv.credit(address(1), 7);
    }

    function testPranksAndMocksReachTheActor() public {
        vm.mockCall(address(riscv), abi.encodeWithSelector(riscv.credits.selector, address(1)), abi.encode(42));
        require(riscv.credits(address(1)) == 42, "not mocked");
        riscv.say("RISC-V says hello");
        evm.say("and the EVM, too");
    }
}
