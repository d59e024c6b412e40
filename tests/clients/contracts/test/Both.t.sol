// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

import {FilecoinFork} from "../lib/FilecoinFork.sol";
import {filecoinVm} from "../lib/FilecoinVm.sol";

// Tests that run unchanged under forge, on a fork of a node, and under `hypervisor test`.
contract BothTest {
    function setUp() public {
        FilecoinFork.activate();
    }

    function test_datacap_has_its_name() public {
        bytes memory asked = abi.encode(uint64(48890204), uint256(0), uint64(1), uint64(0), bytes(""), uint64(7));
        (bool done, bytes memory answer) = FilecoinFork.precompile(5).delegatecall(asked);
        require(done, "refused");
        (int256 exitCode,, bytes memory name) = abi.decode(answer, (int256, uint64, bytes));
        require(exitCode == 0 && keccak256(name) == keccak256("\x67DataCap"), "another name");
    }

    function test_own_cheatcodes_are_where_the_machine_is() public view {
        try filecoinVm.filAddress(address(0)) returns (string memory) {
            require(FilecoinFork.isReal(), "answered by another machine");
        } catch {
            require(!FilecoinFork.isReal(), "not answered");
        }
    }
}
