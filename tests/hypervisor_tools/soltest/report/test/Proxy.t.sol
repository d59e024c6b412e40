// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import "../src/Proxy.sol";

interface Vm {
    function label(address account, string calldata name) external;
    function prank(address sender) external;
    function etch(address, bytes calldata) external;
    function skip(bool) external;
    function assume(bool) external pure;
    function addr(uint256) external returns (address);
    function sign(uint256, bytes32) external returns (uint8, bytes32, bytes32);
    function expectEmit(bool, bool, bool, bool) external;
    function expectRevert(bytes4) external;
    function mockCall(address, bytes calldata, bytes calldata) external;
}

abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    event log_named_uint(string key, uint256 val);
}

contract Helper is Base {
    Vault public vault = new Vault();
    uint256 public calls;
    function add(uint256 amount) external { vault.set(amount % 1000); calls++; }
}

contract ProxyTest is Base {
    Factory private factory;
    Vault private vault;
    Proxy private proxy;

    function setUp() public {
        factory = new Factory();
        vault = new Vault();
        proxy = new Proxy(address(vault), abi.encodeCall(Vault.initialize, (address(this))));
    }
    function helper(uint256 a) external pure returns (uint256) { return a + 1; }
    function test_delegates() public {
        require(Vault(address(proxy)).deposit{value: 1 ether}() == 1 ether);
        require(Vault(address(proxy)).owner() == address(this));
        require(Vault(address(proxy)).guarded());
        require(Vault(address(proxy)).fee(10_000) == 25);
        Vault(address(proxy)).raise(3);
        Vault(address(proxy)).set(12345678);
        Vault(address(proxy)).set(5, true);
    }
    function test_makes() public {
        Vault made = factory.make();
        made.set(5);
        Proxy other = factory.proxied(address(1));
        Vault(address(other)).set(6);
        Vault small = Vault(factory.minimal(address(made)));
        small.set(7);
        require(small.total() == 7);
        require(factory.ask(made) == 7);
        require(this.helper(1) == 2);
        (bool sent,) = address(proxy).call{value: 5}("");
        require(sent);
        (sent,) = address(0x1234).call{value: 1}(hex"01020304");
        (sent,) = address(proxy).call(hex"0102");
        (sent,) = address(proxy).call(hex"deadbeef");
        (sent,) = address(vault).call(hex"deadbeef");
        (sent,) = address(vault).call("");
    }
    function test_reverts() public {
        vm.prank(address(7));
        try Vault(address(proxy)).guarded() { revert("should fail"); } catch {}
        try vault.boom() { revert("should fail"); } catch {}
        try new Broken(1) { revert("should fail"); } catch {}
        new Broken(9);
    }
    function test_precompiles() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(1, bytes32(uint256(5)));
        require(ecrecover(bytes32(uint256(5)), v, r, s) == vm.addr(1));
        require(sha256("abc") != bytes32(0));
        (bool ok, bytes memory back) = address(4).staticcall("hello");
        require(ok && back.length == 5);
        emit log_named_uint("answer", 42);
        (ok,) = address(6).call{gas: 5000}(hex"01");
    }
    function test_skips() public { vm.skip(true); }
    function test_etched() public {
        vm.etch(address(0xabc), address(vault).code);
        Vault(address(0xabc)).set(5);
        vm.mockCall(address(0xdef), abi.encodeCall(vault.total, ()), abi.encode(9));
        require(Vault(address(0xdef)).total() == 9);
    }
    function test_fails() public {
        Vault(address(proxy)).set(1);
        Vault(address(proxy)).guarded();
        vault.guarded();
    }
    function testFuzz_sets(uint256 amount) public {
        vm.assume(amount > 3);
        vault.set(amount);
        require(vault.total() == amount);
    }
}

contract HandlerTest is Base {
    Helper private helper;
    function setUp() public { helper = new Helper(); }
    function targetContracts() public view returns (address[] memory found) {
        found = new address[](1);
        found[0] = address(helper);
    }
    function invariant_small() public view { require(helper.vault().total() < 1000); }
}
