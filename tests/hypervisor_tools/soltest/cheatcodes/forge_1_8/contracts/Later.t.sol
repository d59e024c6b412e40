// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;

// Cheatcodes of forge 1.8. Each test passes if the values are those that its comments derive from other sources.
interface Later {
    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    function ecAddAffine(uint256 x1, uint256 y1, uint256 x2, uint256 y2) external pure returns (uint256 x, uint256 y);
    function ecAddProjective(uint256 x1, uint256 y1, uint256 z1, uint256 x2, uint256 y2, uint256 z2)
        external pure returns (uint256 x, uint256 y, uint256 z);
    function ecMulAffine(uint256 x, uint256 y, uint256 scalar) external pure returns (uint256, uint256);
    function ecMulProjective(uint256 x, uint256 y, uint256 z, uint256 scalar)
        external pure returns (uint256, uint256, uint256);
    function ffiBytes(string[] calldata) external returns (bytes memory);
    function ffiString(string[] calldata) external returns (string memory);
    function ffiUint(string[] calldata) external returns (uint256);
    function getSelectors(string calldata) external view returns (bytes4[] memory);
    function isIsolateMode() external view returns (bool);
    function lastCallGas() external view returns (Gas memory);
    function lastFrameGas() external view returns (Gas memory);
    function snapshotGasLastCall(string calldata) external returns (uint256);
    function expectRevert() external;
    function mockCall(address, bytes calldata, bytes calldata) external;
    function startStateDiffRecording() external;
    function snapshotGasLastFrame(string calldata) external returns (uint256);
    function snapshotGasLastFrame(string calldata, string calldata) external returns (uint256);
    function parseJsonArrayLength(string calldata, string calldata) external pure returns (uint256);
    function parseJsonUint(string calldata, string calldata, uint256) external pure returns (uint256);
    function parseJsonStringArray(string calldata, string calldata, string[] calldata) external pure returns (string[] memory);
    function parseTomlBytes32(string calldata, string calldata, bytes32) external pure returns (bytes32);
    function parseTomlIntArray(string calldata, string calldata, int256[] calldata) external pure returns (int256[] memory);
}

abstract contract Cheating {
    Later constant vm = Later(address(uint160(uint256(keccak256("hevm cheat code")))));

    function fails(bytes memory call, string memory wanted) internal {
        (bool success, bytes memory data) = address(vm).call(call);
        require(!success, "it succeeded");
        bytes memory rest = new bytes(data.length - 4);
        for (uint256 i; i < rest.length; i++) rest[i] = data[i + 4];
        string memory reason = abi.decode(rest, (string));
        require(keccak256(bytes(reason)) == keccak256(bytes(wanted)), reason);
    }
}

// Multiples of the generator by py_ecc.
contract CurveTest is Cheating {
    uint256 constant P = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f;
    uint256 constant N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    uint256 constant X1 = 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798;
    uint256 constant Y1 = 0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8;
    uint256 constant X2 = 0xc6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5;
    uint256 constant Y2 = 0x1ae168fea63dc339a3c58419466ceaeef7f632653266d0e1236431a950cfe52a;
    uint256 constant X5 = 0x2f8bde4d1a07209355b4a7250a5c5128e88b84bddc619ab7cba8d569b240efe4;
    uint256 constant Y5 = 0xd8ac222636e5e3d6d4dba9dda6c9c426f788271bab0d6840dca87d3aa6ac62d6;
    uint256 constant X7 = 0x5cbdf0646e5db4eaa398f365f2ea7a0e3d419b7e0330e39ce92bddedcac4f9bc;
    uint256 constant Y7 = 0x6aebca40ba255960a3178d6d861a54dba813d0b813fde7b5a5082628087264da;

    function same(uint256 x, uint256 y, uint256 wantedX, uint256 wantedY) internal pure {
        require(x == wantedX && y == wantedY, "another point");
    }

    function same(uint256 x, uint256 y, uint256 z, uint256 wantedX, uint256 wantedY, uint256 wantedZ) internal pure {
        require(x == wantedX && y == wantedY && z == wantedZ, "another point");
    }

    function testAddAffine() public pure {
        (uint256 x, uint256 y) = vm.ecAddAffine(X2, Y2, X5, Y5);
        same(x, y, X7, Y7);
        (x, y) = vm.ecAddAffine(X1, Y1, X1, Y1);
        same(x, y, X2, Y2);
    }

    function testInfinityAffine() public pure {
        (uint256 x, uint256 y) = vm.ecAddAffine(0, 0, X5, Y5);
        same(x, y, X5, Y5);
        (x, y) = vm.ecAddAffine(X5, Y5, 0, 0);
        same(x, y, X5, Y5);
        (x, y) = vm.ecAddAffine(0, 0, 0, 0);
        same(x, y, 0, 0);
        (x, y) = vm.ecAddAffine(X5, Y5, X5, P - Y5);
        same(x, y, 0, 0);
        (x, y) = vm.ecMulAffine(0, 0, 3);
        same(x, y, 0, 0);
    }

    function testMulAffine() public pure {
        (uint256 x, uint256 y) = vm.ecMulAffine(X7, Y7, 0xdeadbeef1234567890abcdef);
        same(
            x, y, 0x8b972cc76e984417b4e4b4573065d0aefa547e32c9c12e882536130468e4966d,
            0x6d33ad5135de8ca3d510247da0ca4aa23996256718a87ebcfb231b69e79838ee
        );
        (x, y) = vm.ecMulAffine(X7, Y7, type(uint256).max);
        same(
            x, y, 0x501b486d865d2b988b315128c1bb186be29a90a7a469638d5a2ea187f64f7d15,
            0xef08bf9860179efa8302242771b3bd1f9770b5fe36274045339f0903fed47b22
        );
        (x, y) = vm.ecMulAffine(X7, Y7, N + 1);
        same(x, y, X7, Y7);
        (x, y) = vm.ecMulAffine(X7, Y7, N);
        same(x, y, 0, 0);
        (x, y) = vm.ecMulAffine(X7, Y7, 0);
        same(x, y, 0, 0);
    }

    function testProjective() public pure {
        uint256 z = 9;
        (uint256 a, uint256 b, uint256 c) =
            vm.ecAddProjective(mulmod(X5, z, P), mulmod(Y5, z, P), z, X2, Y2, 1);
        same(a, b, c, X7, Y7, 1);
        (a, b, c) = vm.ecAddProjective(0, 4, 0, mulmod(X5, P - 1, P), mulmod(Y5, P - 1, P), P - 1);
        same(a, b, c, X5, Y5, 1);
        (a, b, c) = vm.ecAddProjective(X5, Y5, 1, X5, P - Y5, 1);
        same(a, b, c, 0, 1, 0);
        (a, b, c) = vm.ecMulProjective(mulmod(X1, z, P), mulmod(Y1, z, P), z, 7);
        same(a, b, c, X7, Y7, 1);
        (a, b, c) = vm.ecMulProjective(X1, Y1, 1, N);
        same(a, b, c, 0, 1, 0);
        (a, b, c) = vm.ecMulProjective(0, 1, 0, 5);
        same(a, b, c, 0, 1, 0);
    }

    // The messages are those of forge's own tests.
    function testInvalid() public {
        fails(abi.encodeCall(vm.ecAddAffine, (1, 1, X1, Y1)), "vm.ecAddAffine: invalid secp256k1 first point");
        fails(abi.encodeCall(vm.ecAddAffine, (X1, Y1, P, Y1)), "vm.ecAddAffine: invalid secp256k1 second point");
        fails(abi.encodeCall(vm.ecMulAffine, (X1, 0, 1)), "vm.ecMulAffine: invalid secp256k1 point");
        fails(abi.encodeCall(vm.ecAddProjective, (1, 1, 0, X1, Y1, 1)), "vm.ecAddProjective: invalid secp256k1 first point");
        fails(abi.encodeCall(vm.ecAddProjective, (0, 1, 0, 0, 0, 0)), "vm.ecAddProjective: invalid secp256k1 second point");
        fails(abi.encodeCall(vm.ecMulProjective, (X1, Y1, P, 1)), "vm.ecMulProjective: invalid secp256k1 point");
        fails(abi.encodeCall(vm.ecMulProjective, (0, P, 0, 1)), "vm.ecMulProjective: invalid secp256k1 point");
    }
}

contract FfiTest is Cheating {
    function command(string memory text) internal pure returns (string[] memory parts) {
        parts = new string[](2);
        (parts[0], parts[1]) = ("printf", text);
    }

    // The values of forge's own test.
    function testFfi() public {
        require(vm.ffiUint(command("42")) == 42);
        require(keccak256(bytes(vm.ffiString(command("42")))) == keccak256("42"));
        require(keccak256(vm.ffiBytes(command("42"))) == keccak256(hex"42"));
        require(vm.ffiUint(command(" 123 \\n")) == 123);
        require(vm.ffiUint(command("0x1f")) == 31);
        require(keccak256(bytes(vm.ffiString(command("\\n gm \\n")))) == keccak256("gm"));
        require(keccak256(vm.ffiBytes(command("0xAbcd\\n"))) == keccak256(hex"abcd"));
    }

    function testRejects() public {
        for (uint256 i; i < 3; i++) {
            (bool success,) = address(vm).call(abi.encodeCall(vm.ffiBytes, (command(["gm", "123", "12 34"][i]))));
            require(!success, "decoded");
        }
        (bool read,) = address(vm).call(abi.encodeCall(vm.ffiUint, (command("gm"))));
        require(!read, "parsed");
        (read,) = address(vm).call(abi.encodeCall(vm.ffiString, (command("\\377"))));
        require(!read, "not UTF-8");
    }
}

contract Called {
    uint256 public slot;
    function zeta() external {}
    function alpha(uint256) external {}
    function alpha(bool) external {}
}

contract ArtifactsTest is Cheating {
    // Of each function, those of getters and overloads too. forge's order is that of the names.
    function testSelectors() public {
        bytes4[] memory found = vm.getSelectors("Called");
        require(found.length == 4);
        require(found[0] == bytes4(keccak256("alpha(uint256)")) || found[1] == bytes4(keccak256("alpha(uint256)")));
        require(found[0] == bytes4(keccak256("alpha(bool)")) || found[1] == bytes4(keccak256("alpha(bool)")));
        require(found[2] == Called(address(0)).slot.selector && found[3] == Called.zeta.selector);
        require(vm.getSelectors("Later.t.sol:Called").length == 4);
        (bool success,) = address(vm).call(abi.encodeCall(vm.getSelectors, ("Gone")));
        require(!success, "there is one");
    }
}

contract ModeTest is Cheating {
    bool inSetUp;
    function setUp() public { inSetUp = vm.isIsolateMode(); }
    function testMode() public view { require(vm.isIsolateMode() == inSetUp); }
    function testIsolated() public view { require(vm.isIsolateMode()); }
}

contract ParsedTest is Cheating {
    string constant JSON = '{"a": 7, "list": ["x", "y"], "many": [{"k": 1}, {"k": 2}], "none": [], "text": "no"}';

    function testJson() public {
        require(vm.parseJsonUint(JSON, ".a", 9) == 7);
        require(vm.parseJsonUint(JSON, ".b", 9) == 9);
        string[] memory two = new string[](1);
        two[0] = "default";
        require(vm.parseJsonStringArray(JSON, ".list", two).length == 2);
        require(keccak256(bytes(vm.parseJsonStringArray(JSON, ".gone", two)[0])) == keccak256("default"));
        (bool success,) = address(vm).call(abi.encodeWithSignature("parseJsonUint(string,string,uint256)", JSON, ".text", 1));
        require(!success, "a value of another type is an error");
        (success,) = address(vm).call(abi.encodeWithSignature("parseJsonUint(string,string,uint256)", JSON, ".many[*].k", 1));
        require(!success, "so are several values");
    }

    function testLength() public {
        require(vm.parseJsonArrayLength(JSON, ".list") == 2);
        require(vm.parseJsonArrayLength(JSON, ".none") == 0);
        fails(abi.encodeCall(vm.parseJsonArrayLength, (JSON, ".a")), 'vm.parseJsonArrayLength: JSON value at ".a" is not an array');
        fails(
            abi.encodeCall(vm.parseJsonArrayLength, (JSON, ".gone")),
            'vm.parseJsonArrayLength: key ".gone" must return exactly one JSON array'
        );
    }

    function testToml() public pure {
        string memory toml = 'n = [1, -2]\nb = "0x1111111111111111111111111111111111111111111111111111111111111111"\n';
        int256[] memory none = new int256[](0);
        require(vm.parseTomlIntArray(toml, ".n", none)[1] == -2);
        require(vm.parseTomlIntArray(toml, ".m", none).length == 0);
        require(vm.parseTomlBytes32(toml, ".b", bytes32(uint256(1))) == bytes32(uint256(type(uint256).max) / 15));
        require(vm.parseTomlBytes32(toml, ".c", bytes32(uint256(1))) == bytes32(uint256(1)));
    }
}

contract FrameGasTest is Cheating {
    // Init code `PUSH1 8 PUSH0 RETURN`: 3 + 2 + 0 gas, one word of memory 3, and 200 for each of 8 bytes.
    function testCreation() public {
        bytes memory code = hex"60085ff3";
        address made;
        assembly { made := create(0, add(code, 32), mload(code)) }
        require(made.code.length == 8);
        Later.Gas memory gas = vm.lastFrameGas();
        require(gas.gasTotalUsed == 1608, "3 + 2 + 3 + 8 * 200");
        require(gas.gasMemoryUsed == 0 && gas.gasRefunded == 0);
        require(gas.gasLimit - gas.gasTotalUsed == gas.gasRemaining);
        require(vm.snapshotGasLastFrame("made") == 1608);
        (bool success,) = address(vm).call(abi.encodeCall(vm.lastCallGas, ()));
        require(!success, "a creation is no call");
    }

    // The code is eight bytes STOP: no gas.
    function testCallAfterCreation() public {
        bytes memory code = hex"60085ff3";
        address made;
        assembly { made := create(0, add(code, 32), mload(code)) }
        (bool success,) = made.call("");
        require(success && vm.lastFrameGas().gasTotalUsed == 0 && vm.lastCallGas().gasTotalUsed == 0);
        assembly { made := create(0, add(code, 32), mload(code)) }
        require(vm.lastFrameGas().gasTotalUsed == 1608 && vm.lastCallGas().gasTotalUsed == 0);
        require(vm.snapshotGasLastFrame("group", "made") == 1608);
    }

    function testNothing() public {
        fails(abi.encodeCall(vm.lastFrameGas, ()), "vm.lastFrameGas: no external call or create was made yet");
    }

    // `call_end` of forge's inspector takes an expected revert before it records gas, and forgets the last frame's.
    function testExpectedRevertIsNotTheLastCall() public {
        vm.expectRevert();
        this.fail();
        fails(abi.encodeCall(vm.lastCallGas, ()), "vm.lastCallGas: no external call was made yet");
        sha256("abc");
        vm.expectRevert();
        this.fail();
        require(vm.lastCallGas().gasTotalUsed == 72, "60 + 12 for a word");
        require(vm.snapshotGasLastCall("expected") == 72);
        fails(abi.encodeCall(vm.lastFrameGas, ()), "vm.lastFrameGas: no external call or create was made yet");
    }

    function testMockedCallUsesNoGas() public {
        vm.mockCall(address(0x1234), "", "");
        sha256("abc");
        (bool success,) = address(0x1234).call("");
        require(success && vm.lastCallGas().gasTotalUsed == 0 && vm.lastFrameGas().gasTotalUsed == 0);
    }

    function fail() external pure {
        revert();
    }
}

contract OnlyFrameTest is Cheating {
    function testCall() public {
        (bool success,) = address(0x99).call("");
        require(success && vm.lastFrameGas().gasTotalUsed == 0);
    }
}

// A recording makes nothing warm (foundry reads in a checkpoint that it reverts): EIP-2929 has the prices.
abstract contract Recording is Cheating {
    function deploy(bytes memory code) private returns (address made) {
        bytes memory init = abi.encodePacked(hex"6c", code, hex"5f52600d6013f3"); // returns the 13 bytes
        assembly { made := create(0, add(init, 32), mload(init)) }
    }

    function used(address target) private returns (uint256) {
        (bool success,) = target.call("");
        require(success);
        return vm.lastCallGas().gasTotalUsed - intrinsic();
    }

    function intrinsic() internal pure virtual returns (uint256) {
        return 0;
    }

    function testRecordedSlotsAndAccountsAreCold() public {
        address load = deploy(hex"5f540000000000000000000000"); // PUSH0 SLOAD
        address store = deploy(hex"60015f55000000000000000000"); // PUSH1 1 PUSH0 SSTORE
        address balance = deploy(hex"60993100000000000000000000"); // PUSH1 0x99 BALANCE
        vm.startStateDiffRecording();
        require(used(load) == 2102, "2 + 2,100");
        require(used(store) == 22105, "3 + 2 + 2,100 + 20,000");
        require(used(balance) == 2603, "3 + 2,600");
    }
}

contract RecordedGasTest is Recording {}

// Each call is a transaction of 21,000 gas.
contract IsolatedRecordedGasTest is Recording {
    function intrinsic() internal pure override returns (uint256) {
        return 21_000;
    }
}
