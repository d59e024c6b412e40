// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

// Invariant tests whose shortest failing sequences were found by hand.

interface Vm {
    function warp(uint256) external;
}

Vm constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
address constant ALICE = address(0xA11CE);
address constant BOB = address(0xB0B);

abstract contract Targeting {
    address internal target;
    address[] internal senders;
    address[] internal excluded;

    function targetContracts() external view returns (address[] memory found) {
        found = new address[](1);
        found[0] = target;
    }

    function targetSenders() external view returns (address[] memory) {
        return senders;
    }

    function excludeSenders() external view returns (address[] memory) {
        return excluded;
    }
}

contract Lock {
    uint256 public phase;

    function first(uint256 key) external {
        if (key == 0x1234567890abcdef) phase = 1;
    }

    function second(uint256 key) external {
        if (phase == 1 && key == 0xfedcba0987654321) phase = 2;
    }

    function third(uint256 key) external {
        require(phase == 2);
        if (key % 1000003 == 77777) phase = 3;
    }

    function reset() external {
        phase = 0;
    }
}

contract LockTest is Targeting {
    function setUp() public {
        target = address(new Lock());
    }

    function invariant_isNotOpen() public view {
        assert(Lock(target).phase() < 3);
    }

    function invariant_value() public view returns (int256) {
        return int256(Lock(target).phase());
    }
}

contract Ladder {
    uint256 public height;

    function up(uint256 by) external {
        require(by <= height);
        height += 1;
    }

    function down(uint256 by) external {
        require(by >= height && height > 0);
        height -= 1;
    }
}

contract LadderTest is Targeting {
    function setUp() public {
        target = address(new Ladder());
    }

    function invariant_isBelowSix() public view {
        assert(Ladder(target).height() < 6);
    }
}

contract Owned {
    uint256 public taken;

    function take() external {
        require(msg.sender == BOB);
        taken = 1;
    }
}

abstract contract OwnedTest is Targeting {
    function setUp() public {
        target = address(new Owned());
        choose();
    }

    function choose() internal virtual;

    function invariant_isNotTaken() public view {
        assert(Owned(target).taken() == 0);
    }
}

contract AnySenderTest is OwnedTest {
    function choose() internal override {}
}

contract OtherSenderTest is OwnedTest {
    function choose() internal override {
        senders.push(ALICE);
    }
}

contract BothSendersTest is OwnedTest {
    function choose() internal override {
        senders.push(ALICE);
        senders.push(BOB);
    }
}

contract ExcludedSenderTest is OwnedTest {
    function choose() internal override {
        excluded.push(BOB);
    }
}

contract Token {
    mapping(address => uint256) public balanceOf;
    bool immutable isWrong;

    constructor(bool wrong) {
        isWrong = wrong;
        balanceOf[ALICE] = 70;
        balanceOf[BOB] = 30;
    }

    function transfer(bool toBob, uint256 amount) external {
        address to = toBob ? BOB : ALICE;
        uint256 from = balanceOf[msg.sender];
        require(from >= amount);
        uint256 other = balanceOf[to];
        balanceOf[msg.sender] = from - amount;
        balanceOf[to] = (isWrong ? other : balanceOf[to]) + amount; // wrong if both are one account
    }
}

contract TokenTest is Targeting {
    constructor() {
        senders.push(ALICE);
        senders.push(BOB);
    }

    function setUp() public virtual {
        target = address(new Token(false));
    }

    function invariant_sum() public view {
        assert(Token(target).balanceOf(ALICE) + Token(target).balanceOf(BOB) == 100);
    }
}

contract WrongTokenTest is TokenTest {
    function setUp() public override {
        target = address(new Token(true));
    }
}

contract Paths {
    uint256 public value;
    uint256 public mark;

    // both sides leave the same words, but other values are possible
    function set(uint256 number) external {
        value = number;
        if (number > 5) {
            mark = 1;
            mark = 0;
        }
    }

    function low() external {
        if (value == 3) mark = 3;
    }

    function high() external {
        if (value == 9) mark = 9;
    }
}

contract PathsTest is Targeting {
    function setUp() public {
        target = address(new Paths());
    }

    function invariant_low() public view {
        assert(Paths(target).mark() != 3);
    }

    function invariant_high() public view {
        assert(Paths(target).mark() != 9);
    }
}

contract Handler {
    uint256 public calls;

    function assertion(uint256 number) external {
        assert(number != 1234567);
        calls += 1;
    }

    function refuse(uint256 number) external pure {
        require(number != 7654321);
    }
}

contract HandlerTest is Targeting {
    function setUp() public {
        target = address(new Handler());
    }

    function invariant_() public pure {}
}

contract Clock {
    uint256 public seen;

    function wait_() external {
        vm.warp(1000);
        revert("the time stays");
    }

    function look() external {
        if (block.timestamp == 1000) seen = 1;
    }

    function transientTwice() external {
        assembly {
            if tload(0) { sstore(0, 2) }
            tstore(0, 1)
        }
    }
}

contract ClockTest is Targeting {

    function setUp() public {
        target = address(new Clock());
    }

    function invariant_isNotSeen() public view {
        assert(Clock(target).seen() != 1);
    }

    function invariant_transientStorageEnds() public view {
        assert(Clock(target).seen() != 2);
    }
}

contract EndTest is Targeting {
    function setUp() public {
        target = address(new Ladder());
    }

    function invariant_() public pure {}

    function afterInvariant() public view {
        require(Ladder(target).height() < 2, "too high");
    }
}
