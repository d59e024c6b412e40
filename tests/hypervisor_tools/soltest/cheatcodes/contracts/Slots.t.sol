// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";

struct Pair {
    uint256 one;
    address two;
    uint64 three;
}

contract Base {
    uint256 first;
}

contract Varied is Base {
    uint128 half;
    uint128 otherHalf;
    uint256[5] five;
    Pair pair;
    mapping(address => uint256) balances;
    uint256[] many;
    string text;
    bytes data;
    Pair[3] pairs;
    bool public Flag;

    function write(string memory text_, bytes memory data_) external {
        text = text_;
        data = data_;
    }
}

contract SlotsTest is Cheating {
    event log_named_bytes32(string key, bytes32 val);

    Varied varied;

    function setUp() public {
        varied = new Varied();
    }

    function tell(string memory name) internal {
        bytes32[] memory slots = vm.getStorageSlots(address(varied), name);
        for (uint256 i; i < slots.length; ++i) emit log_named_bytes32(name, slots[i]);
    }

    function testInherited() public {
        tell("first");
    }

    function testPacked() public {
        tell("half");
        tell("otherHalf");
    }

    function testArray() public {
        tell("five");
    }

    function testStruct() public {
        tell("pair");
    }

    function testArrayOfStructs() public {
        tell("pairs");
    }

    function testMapping() public {
        tell("balances");
    }

    function testDynamicArray() public {
        tell("many");
    }

    function testShortText() public {
        varied.write("short", hex"01");
        tell("text");
        tell("data");
    }

    function testLongText() public {
        varied.write("a text that is longer than one word of thirty-two bytes is", new bytes(100));
        tell("text");
        tell("data");
    }

    function testEmptyText() public {
        tell("text");
    }

    function testOtherCase() public {
        tell("flag");
        tell("FIRST");
    }

    function testUnknown() public {
        tell("none");
    }

    function testNoContract() public {
        vm.getStorageSlots(address(0x1234), "first");
    }

    function testOwn() public {
        bytes32[] memory slots = vm.getStorageSlots(address(this), "varied");
        vm.assertEq(slots.length, 1);
        emit log_named_bytes32("varied", slots[0]);
    }
}

type Price is uint128;

enum Phase { Open, Closed }

struct Inner { uint64 a; bool b; bytes4 c; }

struct Outer { uint256 total; Inner inner; address owner; uint128 low; uint128 high; }

contract Described is Base {
    uint256 whole;
    int256 signed;
    int64 small;
    bool yes;
    bytes4 four;
    address owner;
    address payable payee;
    Described self;
    Phase phase;
    Price price;
    bytes32 word;
    uint128 low;
    uint128 high;
    Inner packed;
    Outer outer;
    uint256[3] three;
    uint128[3] halves;
    uint256[2][3] grid;
    uint256[] list;
    Inner[2] pairs;
    mapping(address => uint256) balances;
    mapping(uint256 => mapping(address => bool)) allowed;
    mapping(bytes32 => Inner) inners;
    mapping(string => uint256) named;
    mapping(address => uint256[2]) couples;
    string note;
    bytes data;

    function numbers() external { first = 1; whole = 7; signed = -7; small = -3; yes = true; four = 0x01020304; }
    function addresses() external { owner = address(0x1234); payee = payable(address(0x5678)); self = this; }
    function others() external { phase = Phase.Closed; price = Price.wrap(5); word = bytes32(uint256(9)); low = 1; high = 2; }
    function highOnly() external { high = 3; }
    function structs() external { packed = Inner(1, true, 0x0a0b0c0d); outer.total = 5; outer.inner.b = true; outer.owner = address(0x99); outer.low = 1; outer.high = 2; }
    function arrays() external { three[0] = 1; three[2] = 3; halves[1] = 4; halves[2] = 5; grid[0][0] = 6; grid[2][1] = 7; pairs[1].a = 8; }
    function pushed() external { list.push(5); list.push(6); }
    function mappings(address who, uint256 id, bytes32 key, string calldata name) external { balances[who] = 1000; allowed[id][who] = true; inners[key].a = 3; named[name] = 4; couples[who][id % 2] = 8; }
    function writes(string memory note_, bytes memory data_) external { note = note_; data = data_; }
}

contract Mixed {
    bool flag;
    uint8 number;
    address who;
    bytes4 four;
    int8 low;
    int8 high;
    uint256[] numbers;
    string[] texts;
    uint256[2][2][2] cube;
    bytes32[2] words;
    bool[40] flags;

    function write() external { number = 2; who = address(0x77); four = 0x01020304; low = -1; high = 1; cube[1][1][1] = 5; words[1] = "w"; flags[35] = true; numbers.push(); }
    function fails() external { number = 9; revert(); }
}

contract DiffSlotsTest is Cheating {
    Described described;
    uint256 own;

    function setUp() public { described = new Described(); }
    function begin() internal { vm.startStateDiffRecording(); }
    function texts() internal returns (string memory) { return string.concat(vm.getStateDiff(), vm.getStateDiffJson()); }
    function end() internal { revert(texts()); }
    function testNumbers() public { begin(); described.numbers(); end(); }
    function testAddresses() public { begin(); described.addresses(); end(); }
    function testOthers() public { begin(); described.others(); string memory first = texts(); described.highOnly(); revert(string.concat(first, texts())); }
    function testStructs() public { begin(); described.structs(); end(); }
    function testArrays() public { begin(); described.arrays(); end(); }
    function testPushed() public { begin(); described.pushed(); end(); }
    function testMappings() public { begin(); described.mappings(address(0x1234), 7, keccak256("k"), "key"); end(); }
    function testShortTexts() public { begin(); described.writes("it's \"short\"", hex"0102"); end(); }
    function testLongTexts() public { begin(); described.writes("a text that is longer than one word of thirty-two bytes is", new bytes(70)); string memory first = texts(); described.writes("short", hex""); revert(string.concat(first, texts())); }
    function testMixed() public { Mixed mixed = new Mixed(); begin(); mixed.write(); try mixed.fails() {} catch {} end(); }
    function testTwice() public { begin(); described.writes("a text that is longer than one word of thirty-two bytes is", hex"01"); described.writes("other", new bytes(33)); end(); }
    function testLabelled() public { vm.label(address(described), "the \"contract\""); begin(); own = 5; described.numbers(); end(); }
    function testCreated() public { begin(); Described made = new Described(); made.numbers(); end(); }
    function testKeyOfDiff() public { begin(); described.mappings(address(0x1234), 7, keccak256("k"), "key"); (bool found,,) = vm.getMappingKeyAndParentOf(address(described), keccak256(abi.encode(address(0x1234), uint256(29)))); vm.assertTrue(found); }
    function testMappingBefore() public { described.mappings(address(0x1234), 7, keccak256("k"), "key"); begin(); described.mappings(address(0x1234), 7, keccak256("k"), "key"); end(); }
}
