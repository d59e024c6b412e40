// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.13;

import "../other/Imported.t.sol";

contract RemovedTest {
    function testFailReverts() public pure {
        revert();
    }

    function testFailWith(uint256 a) public pure {
        require(a != a);
    }

    function test_other() public pure {}

    function tableOther(uint256 a) public pure {}
}

contract RemovedAfterSetUpTest {
    function setUp() public pure {
        revert("set up");
    }

    function testFailReverts() public pure {
        revert();
    }
}

contract TwoSetUpsTest {
    function setUp() public {}

    function setUp(uint256) public {}

    function test_never() public pure {}
}

contract LowerSetUpTest {
    uint256 called;

    function setup() public {
        called = 1;
    }

    function test_not_called() public view {
        require(called == 0);
    }
}

contract SetUpWithArgumentTest {
    function setUp(uint256) public {}

    function test_never() public pure {}
}

contract TwoEndsTest {
    function afterInvariant() public {}

    function afterInvariant(uint256) public {}

    function test_never() public pure {}
}

contract BeforeTest {
    uint256 sum;

    function beforeTestSetup(bytes4 test) public pure returns (bytes[] memory calls) {
        if (test == this.test_with_calls.selector || test == this.test_fuzz_with_calls.selector) {
            calls = new bytes[](2);
            calls[0] = abi.encodePacked(this.add.selector, uint256(1));
            calls[1] = abi.encodePacked(this.add.selector, uint256(5));
        }
        if (test == this.test_with_call_that_reverts.selector) {
            calls = new bytes[](1);
            calls[0] = abi.encodePacked(this.reverts.selector);
        }
    }

    function add(uint256 amount) public {
        sum += amount;
    }

    function reverts() public pure {
        revert("no");
    }

    function test_without_calls() public view {
        require(sum == 0);
    }

    function test_with_calls() public view {
        require(sum == 6);
    }

    function test_fuzz_with_calls(uint256) public view {
        require(sum == 6);
    }

    function test_with_call_that_reverts() public pure {}
}
