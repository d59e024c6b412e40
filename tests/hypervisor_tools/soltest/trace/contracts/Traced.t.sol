// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

interface Vm {
    function label(address account, string calldata name) external;
    function prank(address sender) external;
    function skip(bool) external;
    function mockCall(address, bytes calldata, bytes calldata) external;
}

address constant CONSOLE = 0x000000000000000000636F6e736F6c652e6c6f67;

abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    event log(string);
    event log_named_uint(string key, uint256 val);
    function say(string memory words) internal view {
        (bool ok,) = CONSOLE.staticcall(abi.encodeWithSignature("log(string)", words));
        ok;
    }
}

contract Store {
    uint256 public a = 1;
    uint256 public b = 2;
    event Cleared(uint256 indexed which, string words);
    function clear() external { a = 0; emit Cleared(1, "a"); b = 0; }
    function clearAndFail() external { a = 0; emit Cleared(1, "a"); revert("no"); }
    function warm() external returns (uint256 sum) { sum = a; sum += a; a = 7; sum += b; sum += a; a = 7; }
    function same() external { assembly { sstore(1, 2) } }
    function raw() external { assembly { mstore(0, 42) log0(0, 32) log1(0, 0, 7) } }
    function ask() external view returns (uint256) { return this.b() + this.a(); }
    function burn() external pure { assembly { invalid() } }
    function loop() external pure { while (true) {} }
    function die(address payable to) external payable { selfdestruct(to); }
}

contract Dier {
    constructor() payable { selfdestruct(payable(address(9))); }
}

contract TracedTest is Base {
    Store private store;
    uint256[] public fixture_row = [1, 2, 3];
    function setUp() public { store = new Store(); say("set up"); emit log("logged"); }
    function test_refunds() public {
        store.warm();
        emit log_named_uint("before", 1);
        store.clear();
        store.same();
        store.raw();
        emit log_named_uint("after", 2);
    }
    function test_reverted_refund() public {
        try store.clearAndFail() {} catch {}
        say("one");
        emit log("two");
        vm.label(address(5), "five");
    }
    function test_pranks_and_mocks() public {
        vm.prank(address(77));
        store.clear();
        vm.mockCall(address(0xdef), "", abi.encode(9));
        require(Store(address(0xdef)).a() == 9);
    }
    function test_destructs() public {
        store.die{value: 3}(payable(address(7)));
        new Dier{value: 2}();
        Store other = new Store();
        other.die(payable(address(other)));
    }
    function test_halts() public {
        address it = address(store);
        bytes memory init = hex"fe";
        bool ok;
        address made;
        try store.burn{gas: 5000}() {} catch {}
        try store.loop{gas: 5000}() {} catch {}
        (ok,) = it.staticcall(abi.encodeCall(Store.clear, ()));
        (ok,) = address(0x1111).call{value: type(uint128).max}("");
        (ok,) = address(0x1111).delegatecall("");
        store.ask();
        assembly {
            ok := callcode(gas(), it, 5, 0, 0, 0, 0)
            made := create(0, add(init, 32), 0)
            made := create(not(0), add(init, 32), 1)
            made := create2(0, 0, 0, 1)
            made := create2(0, 0, 0, 1)
            made := create(0, add(init, 32), 1)
        }
    }
    function test_fails() public { store.clear(); require(false, "end"); }
    function test_skips() public { say("before"); vm.skip(true); }
    function table_rows(uint256 row) public { emit log_named_uint("row", row); say("row"); store.warm(); }
    function table_fails(uint256 row) public { emit log_named_uint("row", row); say("row"); require(row < 2, "row"); }
}

contract Handler is Base {
    Store private store = new Store();
    uint256 public n;
    function go() external { n++; store.warm(); emit log_named_uint("n", n); say("go"); }
}

abstract contract InvariantBase is Base {
    Handler internal handler;
    function setUp() public { handler = new Handler(); say("set up"); }
    function targetContracts() public view returns (address[] memory found) {
        found = new address[](1);
        found[0] = address(handler);
    }
    function targetSenders() public pure returns (address[] memory found) {
        found = new address[](1);
        found[0] = address(0xabc);
    }
}

contract HoldingTest is InvariantBase {
    function invariant_holds() public { say("check"); emit log_named_uint("now", handler.n()); }
    function invariant_never_holds() public { say("never"); require(handler.n() > 2, "few"); }
    function afterInvariant() public { say("after"); emit log_named_uint("last", 1); }
}

contract BrokenTest is InvariantBase {
    function invariant_breaks() public { say("check"); require(handler.n() < 2, "many"); }
}

contract FailingSetUpTest is Base {
    Store private store = new Store();
    function setUp() public { say("set up"); store.clear(); require(false, "set up"); }
    function test_never_runs() public {}
}

contract FailingConstructorTest is Base {
    constructor() { new Store(); require(false, "constructor"); }
    function test_never_runs() public {}
}

contract NoSetUpTest is Base {
    function test_runs() public {}
}
