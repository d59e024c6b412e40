// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {Token, Vault} from "./Bugs.t.sol";

interface Vm {
    function assume(bool) external;
    function prank(address) external;
    function startPrank(address) external;
    function stopPrank() external;
    function deal(address, uint256) external;
    function store(address, bytes32, bytes32) external;
    function load(address, bytes32) external returns (bytes32);
    function etch(address, bytes calldata) external;
    function warp(uint256) external;
    function expectRevert() external;
    function expectRevert(bytes4) external;
    function assertEq(uint256, uint256) external;
    function assertEq(bytes calldata, bytes calldata) external;
    function assertEq(uint256[] calldata, uint256[] calldata) external;
    function assertGe(uint256, uint256) external;
    function assertLe(uint256, uint256, string calldata) external;
    function assertApproxEqAbs(uint256, uint256, uint256) external;
    function assertEqDecimal(uint256, uint256, uint256) external;
    function toString(uint256) external returns (string memory);
    function sign(uint256, bytes32) external returns (uint8, bytes32, bytes32);
    function addr(uint256) external returns (address);
}

interface Svm {
    function createUint256(string calldata) external returns (uint256);
    function createAddress(string calldata) external returns (address);
    function createBool(string calldata) external returns (bool);
    function createBytes(uint256, string calldata) external returns (bytes memory);
    function enableSymbolicStorage(address) external;
    function createCalldata(address) external returns (bytes memory);
    function createCalldata(address, bool) external returns (bytes memory);
    function createCalldata(string calldata, string calldata) external returns (bytes memory);
}

error Closed(uint256 code);

contract Gate {
    uint256 public count;
    address public owner = msg.sender;

    function pass(uint256 code) external payable {
        if (code < 10) revert Closed(code);
        count++;
    }

    function mine() external {
        require(msg.sender == owner);
        count = 99;
    }

    function half() external {
        count = 5;
        revert Closed(count);
    }

    receive() external payable {}
}

contract Receiver {
    uint256 public calls;
    bytes4 public last;
    uint256 public length;

    function increment(uint256[] calldata by) external {
        calls += by.length;
    }

    fallback() external {
        last = msg.sig;
        length = msg.data.length;
    }
}

contract Holder {
    uint256 immutable amount;

    constructor(uint256 amount_) payable {
        amount = amount_;
    }

    function get() external view returns (uint256) {
        return amount;
    }
}

// Each test holds, unless its name ends with Fails.
contract ProofsTest {
    Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
    Svm constant svm = Svm(0xF3993A62377BCd56AE39D773740A5390411E8BC9);
    Token token;
    Gate gate;
    mapping(uint256 => uint256[]) lists;

    function setUp() public {
        token = new Token(0);
        gate = new Gate();
        token.mint(address(this), 1e24);
        token.mint(address(7), 5e20);
    }

    function check_transferKeepsSum(address to, uint256 amount) public {
        uint256 mine = token.balanceOf(address(this));
        uint256 theirs = token.balanceOf(to);
        token.transfer(to, amount);
        if (to == address(this)) assert(token.balanceOf(to) == mine);
        else assert(token.balanceOf(address(this)) + token.balanceOf(to) == mine + theirs);
    }

    function check_transferTouchesNobodyElse(address to, address other, uint256 amount) public {
        vm.assume(other != to && other != address(this));
        uint256 before = token.balanceOf(other);
        token.transfer(to, amount);
        assert(token.balanceOf(other) == before);
    }

    function check_transferTouchesNobodyElseFails(address to, address other, uint256 amount) public {
        vm.assume(other != address(this));
        uint256 before = token.balanceOf(other);
        token.transfer(to, amount);
        assert(token.balanceOf(other) == before);
    }

    function check_onlyOwner(address caller) public {
        vm.assume(caller != address(this));
        vm.prank(caller);
        (bool ok,) = address(gate).call(abi.encodeCall(Gate.mine, ()));
        assert(!ok && gate.count() == 0);
    }

    function check_onlyOwnerFails(address caller) public {
        vm.prank(caller);
        (bool ok,) = address(gate).call(abi.encodeCall(Gate.mine, ()));
        assert(!ok);
    }

    function check_prankEnds(address caller) public {
        vm.startPrank(caller);
        gate.pass(10);
        vm.stopPrank();
        gate.mine();
        assert(gate.count() == 99);
    }

    function check_expectRevert(uint256 code) public {
        vm.assume(code < 10);
        vm.expectRevert();
        gate.pass(code);
        assert(gate.count() == 0);
    }

    function check_prankOfOneCall(address caller) public {
        vm.assume(caller != address(this));
        vm.prank(caller);
        gate.pass(10);
        gate.mine();
        assert(gate.count() == 99);
    }

    function check_expectRevertOfSuccessFails(uint256 code) public {
        vm.expectRevert();
        gate.pass(code);
    }

    function check_expectRevertFails(uint256 code) public {
        vm.assume(code < 11);
        vm.expectRevert();
        gate.pass(code);
        assert(code != 10);
        assert(gate.count() == 1);
    }

    function check_valueMoves(uint96 amount) public {
        vm.deal(address(this), amount);
        (bool ok,) = address(gate).call{value: amount}("");
        assert(ok && address(gate).balance == amount && address(this).balance == 0);
    }

    function check_valueIsMissing(uint96 funds, uint96 amount) public {
        vm.deal(address(this), funds);
        (bool ok,) = address(gate).call{value: amount}("");
        assert(ok == (amount <= funds));
    }

    function check_revertedStateFails(uint256 code) public {
        try gate.pass(code) {} catch {}
        assert(gate.count() == 1);
    }

    function check_revertRestores() public {
        try gate.half() {} catch {}
        assert(gate.count() == 0);
    }

    function check_immutable(uint256 amount) public {
        Holder holder = new Holder(amount);
        assert(holder.get() == amount && address(holder) != address(gate));
    }

    function check_createdValues() public {
        uint256 a = svm.createUint256("a");
        address b = svm.createAddress("b");
        bytes memory c = svm.createBytes(40, "c");
        assert(a >= 0 && uint160(b) < 1 << 160 && c.length == 40);
    }

    function check_createdValuesFails() public {
        uint256 a = svm.createUint256("a");
        uint256 b = svm.createUint256("a");
        assert(!(svm.createBool("c") && a == 5 && b == 2 ** 200 && svm.createBytes(3, "d")[1] == "x"));
    }

    function check_keyThatIsAnAddressFails(address key) public {
        vm.deal(key, 1);
        assert(vm.addr(uint256(uint160(key))) != vm.addr(0x1234));
    }

    function check_symbolicStorageFails() public {
        svm.enableSymbolicStorage(address(gate));
        assert(gate.count() != 77777777777777777);
    }

    function check_symbolicStorage() public {
        svm.enableSymbolicStorage(address(gate));
        uint256 old = gate.count();
        try gate.pass(50) { assert(gate.count() == old + 1); } catch { assert(old == type(uint256).max); }
    }

    function check_store(bytes32 slot, bytes32 word) public {
        vm.store(address(gate), slot, word);
        assert(vm.load(address(gate), slot) == word);
        assert(slot != 0 || gate.count() == uint256(word));
    }

    function check_arrays(uint256 key, uint256 other, uint256 word) public {
        lists[3].push(8);
        lists[key].push(word);
        assert(lists[key][lists[key].length - 1] == word);
        assert(key == other || other == 3 || lists[other].length == 0);
        assert(key == 3 || lists[3][0] == 8);
    }

    function check_arraysFails(uint256 key, uint256 word) public {
        lists[3].push(8);
        lists[key].push(word);
        assert(lists[key].length == 1);
    }

    function check_warp(uint64 time) public {
        vm.warp(time);
        assert(block.timestamp == time);
    }

    function check_assertions(uint256 a, uint8 b, bytes memory c) public {
        vm.assertEq(a + b, b + a);
        vm.assertEq(c, bytes.concat(c));
        vm.assertLe(b, 255, "small");
        vm.assertGe(b, 0);
        vm.assertApproxEqAbs(uint256(b), 100, 155);
    }

    function check_assertApproxFails(uint8 b) public {
        vm.assertApproxEqAbs(uint256(b), 100, 154);
    }

    function check_assertArraysFails(uint256[] memory a, uint256[] memory b) public {
        vm.assertEq(a, b);
    }

    function check_messageFails(uint256 a) public {
        vm.assertLe(a, 1e50, "too large");
    }

    function check_hashOfBytes(bytes memory a, bytes memory b) public pure {
        if (keccak256(a) == keccak256(b)) assert(a.length == b.length);
    }

    function prove_div(uint256 a, uint256 b) public pure {
        if (b != 0) assert(a / b <= a);
    }

    function prove_sort(uint256 a, uint256 b, uint256 c) public pure {
        if (a > b) (a, b) = (b, a);
        if (b > c) (b, c) = (c, b);
        if (a > b) (a, b) = (b, a);
        assert(a <= b && b <= c);
    }

    function check_anyCallOfAStranger(address stranger) public {
        vm.assume(stranger != address(this));
        vm.prank(stranger);
        (bool success,) = address(gate).call(svm.createCalldata(address(gate)));
        success;
        assert(gate.count() <= 1 && gate.owner() == address(this));
    }

    function check_anyCallFails() public {
        (bool success,) = address(gate).call(svm.createCalldata("Proofs.t.sol", "Gate"));
        success;
        assert(gate.count() != 99);
    }

    function check_fallbackIsReached() public {
        Receiver receiver = new Receiver();
        (bool success,) = address(receiver).call(svm.createCalldata(address(receiver)));
        assert(success);
        assert(receiver.calls() <= 2);
        assert(receiver.last() != Receiver.increment.selector && receiver.last() != bytes4(keccak256("calls()")));
        assert(receiver.length() <= 1028);
    }

    function check_fallbackIsReachedFails() public {
        Receiver receiver = new Receiver();
        (bool success,) = address(receiver).call(svm.createCalldata(address(receiver)));
        success;
        assert(receiver.length() < 69);
    }

    function check_viewsAreCalledFails() public {
        (, bytes memory output) = address(gate).call(svm.createCalldata(address(gate), true));
        assert(output.length == 0 || abi.decode(output, (uint256)) != uint160(address(this)));
    }

    function check_concreteCheatcodes(uint256 amount) public {
        vm.assertEqDecimal(1, 1, 18);
        assert(keccak256(bytes(vm.toString(120))) == keccak256("120"));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(1, keccak256("text"));
        assert(ecrecover(keccak256("text"), v, r, s) == vm.addr(1));
        assert(amount >= 0);
    }

    function check_concreteCheatcodesFails(uint256 amount) public {
        if (amount == 7) vm.assertEqDecimal(1, 2, 18);
    }

    function check_dealAndPay(address to, uint128 funds, uint64 amount) public {
        vm.assume(to != address(this));
        vm.deal(to, funds);
        vm.deal(address(this), amount);
        (bool success,) = to.call{value: amount}("");
        if (success) assert(to.balance == uint256(funds) + amount && address(this).balance == 0);
        else assert(to.balance == funds);
    }

    function check_dealAndPayFails(address to, uint64 amount) public {
        vm.deal(to, 5);
        vm.deal(address(this), amount);
        (bool success,) = to.call{value: amount}("");
        if (success) assert(to.balance > 5);
    }

    function check_twoStrangers(address one, address other) public {
        vm.deal(one, 7);
        vm.deal(other, 8);
        assert(one == other ? one.balance == 8 : one.balance == 7);
    }

    function check_twoStrangersFails(address one, address other) public {
        vm.deal(one, 7);
        vm.deal(other, 8);
        assert(one.balance == 7);
    }

    function check_onlyContractsHaveCode(address some) public {
        uint256 size = some.code.length;
        if (some == address(gate)) assert(size > 0);
        if (some == address(0x1234567890123456789012345678901234567890)) assert(size == 0);
    }

    function check_onlyContractsHaveCodeFails(address some) public view {
        assert(some.code.length == 0);
    }

    function check_strangerBecomesAContract(address some) public {
        uint256 before = some.code.length;
        vm.deal(some, 3);
        Receiver receiver = new Receiver();
        if (some == address(receiver)) assert(before == 0 && some.code.length > 0 && address(receiver).balance == 3);
    }

    function check_strangerBecomesAContractFails(address some) public {
        vm.assume(some.code.length == 0);
        vm.deal(some, 3);
        new Receiver();
        assert(some.code.length == 0);
    }

    function check_addressSeenLaterFails(address some) public {
        vm.deal(some, 3);
        assert(address(0x9999999999999999999999999999999999999999).balance == 0);
    }
}
