// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";
contract AssertsTest is Cheating {
    function testEqU() public { vm.assertEq(uint256(1), uint256(2)); }
    function testEqI() public { vm.assertEq(int256(-1), int256(2)); }
    function testEqA() public { vm.assertEq(address(0xabcdef), address(0xabcdee)); }
    function testEqB() public { vm.assertEq(true, false); }
    function testEqS() public { vm.assertEq(string("a"), string("b")); }
    function testEqBytes() public { vm.assertEq(bytes("a"), bytes("b")); }
    function testEqB32() public { vm.assertEq(bytes32("a"), bytes32("b")); }
    function testEqMsg() public { vm.assertEq(uint256(1), uint256(2), "my message"); }
    function testNotEq() public { vm.assertNotEq(uint256(1), uint256(1), "msg"); }
    function testNotEqS() public { vm.assertNotEq(string("abc"), string("abc")); }
    function testEqArr() public { uint256[] memory a = new uint256[](2); uint256[] memory b = new uint256[](2); b[1] = 5; vm.assertEq(a, b); }
    function testEqArrS() public { string[] memory a = new string[](2); string[] memory b = new string[](2); b[1] = "five"; vm.assertEq(a, b, "m"); }
    function testEqArrOk() public { bytes[] memory a = new bytes[](2); bytes[] memory b = new bytes[](2); vm.assertEq(a, b); }
    function testEqArrA() public { address[] memory a = new address[](1); address[] memory b = new address[](1); b[0] = address(0xABC); vm.assertEq(a, b); }
    function testEqArrI() public { int256[] memory a = new int256[](1); int256[] memory b = new int256[](1); b[0] = -5; vm.assertEq(a, b); }
    function testEqArrB() public { bool[] memory a = new bool[](1); bool[] memory b = new bool[](1); b[0] = true; vm.assertEq(a, b); }
    function testGt() public { vm.assertGt(uint256(1), uint256(1)); }
    function testGe() public { vm.assertGe(int256(-1), int256(1), "x"); }
    function testLt() public { vm.assertLt(uint256(1), uint256(1)); }
    function testLe() public { vm.assertLe(uint256(2), uint256(1)); }
    function testTrue() public { vm.assertTrue(false); }
    function testTrueMsg() public { vm.assertTrue(false, "hello"); }
    function testFalse() public { vm.assertFalse(true); }
    function testFalseMsg() public { vm.assertFalse(true, "hello"); }
    function testDec() public { vm.assertEqDecimal(uint256(1.5 ether), uint256(2 ether), 18); }
    function testDecI() public { vm.assertEqDecimal(int256(-1.5 ether), int256(2 ether), 18, "m"); }
    function testDec0() public { vm.assertEqDecimal(uint256(15), uint256(16), 0); }
    function testDec80() public { vm.assertEqDecimal(uint256(15), uint256(16), 80); }
    function testGtDec() public { vm.assertGtDecimal(uint256(15), uint256(16), 2); }
    function testAbs() public { vm.assertApproxEqAbs(uint256(10), uint256(15), 3); }
    function testAbsOk() public { vm.assertApproxEqAbs(uint256(10), uint256(12), 3); }
    function testAbsI() public { vm.assertApproxEqAbs(int256(-10), int256(15), 3, "m"); }
    function testAbsDec() public { vm.assertApproxEqAbsDecimal(uint256(10), uint256(15), 3, 1); }
    function testRel() public { vm.assertApproxEqRel(uint256(100), uint256(150), 0.1e18); }
    function testRelOk() public { vm.assertApproxEqRel(uint256(100), uint256(105), 0.1e18); }
    function testRelZero() public { vm.assertApproxEqRel(uint256(100), uint256(0), 0.1e18); }
    function testRelI() public { vm.assertApproxEqRel(int256(-100), int256(150), 0.1e18, "m"); }
    function testRelDec() public { vm.assertApproxEqRelDecimal(uint256(100), uint256(150), 0.123456e18, 2); }
    function testRelOver() public { vm.assertApproxEqRel(type(uint256).max, uint256(1), 0.1e18); }
    function testNotEqDec() public { vm.assertNotEqDecimal(uint256(100), uint256(100), 1); }
}
contract StringsTest is Cheating {
    function e(string memory s) internal { vm.assertEq(s, ""); }
    function testToStringA() public { e(vm.toString(address(0xABCDEF0123))); }
    function testToStringU() public { e(vm.toString(type(uint256).max)); }
    function testToStringI() public { e(vm.toString(type(int256).min)); }
    function testToStringB() public { e(vm.toString(true)); }
    function testToStringBytes() public { e(vm.toString(bytes(hex"0102"))); }
    function testToStringB32() public { e(vm.toString(bytes32(uint256(5)))); }
    function testParseU() public { vm.assertEq(vm.parseUint("123"), 123); vm.assertEq(vm.parseUint("0x10"), 16); vm.assertEq(vm.parseUint("1e18"), 1e18); vm.assertEq(vm.parseUint("1.5e18"), 1.5e18);}
    function testParseUEther() public { vm.assertEq(vm.parseUint("1.5 ether"), 1.5e18); vm.assertEq(vm.parseUint("3 gwei"), 3e9); }
    function testParseUSep() public { vm.assertEq(vm.parseUint("1_000"), 1000); }
    function testParseUBad() public { vm.parseUint("abc"); }
    function testParseUBad2() public { vm.parseUint("xyz"); }
    function testParseUNeg() public { vm.parseUint("-5"); }
    function testParseUEmpty() public { vm.parseUint(""); }
    function testParseUBig() public { vm.parseUint("115792089237316195423570985008687907853269984665640564039457584007913129639936"); }
    function testParseI() public { vm.assertEq(vm.parseInt("-5"), -5); vm.assertEq(vm.parseInt("+5"), 5); vm.assertEq(vm.parseInt("-0x5"), -5); }
    function testParseIBad() public { vm.parseInt("--5"); }
    function testParseBool() public { vm.assertTrue(vm.parseBool("true")); vm.assertFalse(vm.parseBool("False")); vm.assertTrue(vm.parseBool("1")); }
    function testParseBoolBad() public { vm.parseBool("yes"); }
    function testParseA() public { vm.assertEq(vm.parseAddress("0x0000000000000000000000000000000000000005"), address(5)); }
    function testParseABad() public { vm.parseAddress("0x05"); }
    function testParseABad2() public { vm.parseAddress("hello"); }
    function testParseBytes() public { vm.assertEq(vm.parseBytes("0x0102"), hex"0102"); }
    function testParseBytesBad() public { vm.parseBytes("0102"); }
    function testParseBytesBad2() public { vm.parseBytes("0x1"); }
    function testParseBytesBad3() public { vm.parseBytes("zz"); }
    function testParseB32() public { vm.assertEq(vm.parseBytes32("0x0000000000000000000000000000000000000000000000000000000000000005"), bytes32(uint256(5))); }
    function testParseB32Bad() public { vm.parseBytes32("0x05"); }
    function testCases() public { e(string.concat(vm.toLowercase("ABC"), vm.toUppercase("def"), vm.trim("  x "), vm.replace("aXbX", "X", "-"))); }
    function testSplit() public { string[] memory p = vm.split("a,b,,c", ","); vm.assertEq(p.length, 4); vm.assertEq(p[3], "c"); }
    function testSplitEmpty() public { string[] memory p = vm.split("abc", ""); vm.assertEq(p.length, 0); }
    function testIndex() public { vm.assertEq(vm.indexOf("hello", "l"), 2); vm.assertEq(vm.indexOf("hello", "z"), type(uint256).max); vm.assertEq(vm.indexOf("hello", ""), 0); vm.assertTrue(vm.contains("hello", "ell")); }
    function testBase64() public { e(string.concat(vm.toBase64(bytes(hex"fbff")), vm.toBase64URL(bytes(hex"fbff")), vm.toBase64(string("hello")))); }
    function testNamehash() public { vm.assertEq(vm.ensNamehash("foo.eth"), bytes32(0)); }
    function testRlp() public { bytes[] memory l = new bytes[](2); l[0] = hex"01"; l[1] = bytes("hello"); vm.assertEq(vm.toRlp(l), hex""); }
    function testFromRlp() public { bytes[] memory l = new bytes[](2); l[0] = hex"01"; l[1] = bytes("hello"); bytes[] memory k = vm.fromRlp(vm.toRlp(l)); vm.assertEq(k.length, 2); vm.assertEq(k[1], bytes("hello")); }
    function testSort() public { uint256[] memory a = new uint256[](3); a[0] = 3; a[1] = 1; a[2] = 2; a = vm.sort(a); vm.assertEq(a[0], 1); vm.assertEq(a[2], 3); a = vm.shuffle(a); vm.assertEq(a[0] + a[1] + a[2], 6); }
    function testRandomBad() public { vm.randomUint(10, 5); }
    function testRandomBad2() public { vm.randomUint(257); }
    function testAssume() public { vm.assume(true); }
    function testBreak() public { vm.breakpoint("a"); vm.breakpoint("ab"); }
}
contract DocsTest is Cheating {
    string j = '{"a": 5, "b": "hello", "c": {"d": [1,2,3], "e": "0x0000000000000000000000000000000000000005", "f": true}, "neg": -5, "big": "0x0000000000000000000000000000000000000000000000000000000000000007", "by": "0x0102", "arr": ["x","y"], "objs": [{"n": 1, "s": "one"}, {"n": 2, "s": "two"}], "nul": null, "dec": "123", "bools": [true, false], "as": ["0x0000000000000000000000000000000000000005"], "e18": 1e18, "huge": 115792089237316195423570985008687907853269984665640564039457584007913129639935}';
    struct Obj { uint256 n; string s; }
    function b(bytes memory x) internal { vm.assertEq(x, hex""); }
    function testA() public { b(vm.parseJson(j, ".a")); }
    function testB() public { b(vm.parseJson(j, ".b")); }
    function testC() public { b(vm.parseJson(j, ".c")); }
    function testD() public { b(vm.parseJson(j, ".c.d")); }
    function testD1() public { b(vm.parseJson(j, ".c.d[1]")); }
    function testNeg() public { b(vm.parseJson(j, ".neg")); }
    function testBig() public { b(vm.parseJson(j, ".big")); }
    function testBy() public { b(vm.parseJson(j, ".by")); }
    function testNul() public { b(vm.parseJson(j, ".nul")); }
    function testE18() public { b(vm.parseJson(j, ".e18")); }
    function testHuge() public { b(vm.parseJson(j, ".huge")); }
    function testWhole() public { b(vm.parseJson(j)); }
    function testDollar() public { b(vm.parseJson(j, "$.a")); }
    function testNone() public { b(vm.parseJson(j, ".zzz")); }
    function testStar() public { b(vm.parseJson(j, ".objs[*].n")); }
    function testObjs() public { Obj[] memory o = abi.decode(vm.parseJson(j, ".objs"), (Obj[])); vm.assertEq(o[1].s, "two"); }
    function testUint() public { vm.assertEq(vm.parseJsonUint(j, ".a"), 5); vm.assertEq(vm.parseJsonUint(j, ".dec"), 123); }
    function testUintBad() public { vm.parseJsonUint(j, ".b"); }
    function testUintNone() public { vm.parseJsonUint(j, ".zzz"); }
    function testUintBool() public { vm.parseJsonUint(j, ".c.f"); }
    function testUintArr() public { uint256[] memory a = vm.parseJsonUintArray(j, ".c.d"); vm.assertEq(a[2], 3); vm.parseJsonUintArray(j, ".a"); }
    function testInt() public { vm.assertEq(vm.parseJsonInt(j, ".neg"), -5); }
    function testBool() public { vm.assertTrue(vm.parseJsonBool(j, ".c.f")); vm.assertTrue(vm.parseJsonBoolArray(j, ".bools")[0]); }
    function testStr() public { vm.assertEq(vm.parseJsonString(j, ".b"), "hello"); vm.assertEq(vm.parseJsonStringArray(j, ".arr")[1], "y"); }
    function testStrOfNumber() public { vm.assertEq(vm.parseJsonString(j, ".a"), "5"); }
    function testBytes() public { vm.assertEq(vm.parseJsonBytes(j, ".by"), hex"0102"); vm.assertEq(vm.parseJsonBytes32(j, ".big"), bytes32(uint256(7))); }
    function testKeys() public { string[] memory k = vm.parseJsonKeys(j, ".c"); vm.assertEq(k.length, 3); vm.assertEq(k[0], "d"); vm.parseJsonKeys(j, ".a"); }
    function testExists() public { vm.assertTrue(vm.keyExistsJson(j, ".c.d")); vm.assertFalse(vm.keyExistsJson(j, ".c.z")); vm.assertTrue(vm.keyExistsJson(j, ".c")); }
    function testType() public { Obj memory o = abi.decode(vm.parseJsonType(j, ".objs[0]", "Obj(uint256 n,string s)"), (Obj)); vm.assertEq(o.s, "one"); }
    function testTypeArr() public { Obj[] memory o = abi.decode(vm.parseJsonTypeArray(j, ".objs", "Obj(uint256 n,string s)"), (Obj[])); vm.assertEq(o[1].s, "two"); }
    function testTypeReorder() public { (string memory s, uint256 n) = abi.decode(vm.parseJsonType('{"n":1,"s":"q"}', "Obj(string s,uint256 n)"), (string, uint256)); s; n; }
    function testSer() public { vm.serializeUint("o", "z", 5); vm.serializeString("o", "a", "x\"y"); vm.serializeBool("o", "b", true); vm.serializeAddress("o", "c", address(0xABC)); vm.serializeBytes32("o", "d", bytes32(uint256(1))); vm.serializeInt("o", "i", -5); uint256[] memory l = new uint256[](2); vm.serializeUint("o", "l", l); string memory i = vm.serializeString("p", "q", "r"); vm.assertEq(vm.serializeString("o", "nest", i), ""); }
    function testSerBig() public { vm.assertEq(vm.serializeUint("o", "z", type(uint256).max), ""); }
    function testSerBytes() public { vm.assertEq(vm.serializeBytes("o", "z", hex"0102"), ""); }
    function testSerHex() public { vm.assertEq(vm.serializeUintToHex("o", "z", 255), ""); }
    function testSerJson() public { vm.serializeJson("o", '{"k": 1}'); vm.assertEq(vm.serializeUint("o", "z", 2), ""); }
    function testWrite() public { vm.writeJson('{"k": 1, "a": [1,2], "o": {}}', "files/w.json"); vm.assertEq(vm.readFile("files/w.json"), ""); }
    function testWriteKey() public { vm.writeJson('{"k": {"m": 1}, "a": 5}', "files/w2.json"); vm.writeJson('7', "files/w2.json", ".k.m"); vm.writeJson('word', "files/w2.json", ".a"); vm.assertEq(vm.readFile("files/w2.json"), ""); }
    string t = 'a = 5\nb = "hello"\narr = [1, 2]\n[sec]\nx = true\ns = "0x0000000000000000000000000000000000000005"\n';
    function testToml() public { vm.assertEq(vm.parseTomlUint(t, ".a"), 5); vm.assertEq(vm.parseTomlString(t, ".b"), "hello"); vm.assertTrue(vm.parseTomlBool(t, ".sec.x")); vm.assertEq(vm.parseTomlUintArray(t, ".arr")[1], 2); vm.assertEq(vm.parseTomlKeys(t, ".sec").length, 2); vm.assertTrue(vm.keyExistsToml(t, ".sec")); vm.assertEq(vm.parseTomlAddress(t, ".sec.s"), address(5)); }
    function testTomlRaw() public { b(vm.parseToml(t)); }
    function testTomlWrite() public { vm.writeToml('{"a": 1, "t": {"x": "y"}, "l": [1,2]}', "files/w.toml"); vm.assertEq(vm.readFile("files/w.toml"), ""); }
}
contract FilesTest is Cheating {
    function testRW() public { vm.writeFile("files/a.txt", "hello\nworld\n"); vm.assertEq(vm.readFile("files/a.txt"), "hello\nworld\n"); vm.assertEq(vm.readLine("files/a.txt"), "hello"); vm.assertEq(vm.readLine("files/a.txt"), "world"); vm.assertEq(vm.readLine("files/a.txt"), ""); vm.closeFile("files/a.txt"); vm.assertEq(vm.readLine("files/a.txt"), "hello"); vm.removeFile("files/a.txt"); vm.assertFalse(vm.exists("files/a.txt")); }
    function testBinary() public { vm.writeFileBinary("files/b", hex"0001ff"); vm.assertEq(vm.readFileBinary("files/b"), hex"0001ff"); vm.assertTrue(vm.isFile("files/b")); vm.assertFalse(vm.isDir("files/b")); vm.removeFile("files/b"); }
    function testLine() public { vm.writeLine("files/l", "one"); vm.writeLine("files/l", "two"); vm.assertEq(vm.readFile("files/l"), "one\ntwo\n"); vm.removeFile("files/l"); }
    function testOutside() public { vm.readFile("../secret"); }
    function testNotAllowed() public { vm.readFile("test/Env.t.sol"); }
    function testMissing() public { vm.readFile("files/none"); }
    function testWriteOutside() public { vm.writeFile("out/x", "y"); }
    function testToml() public { vm.writeFile("foundry.toml", "y"); }
    function testDir() public { vm.createDir("files/d/e", true); vm.writeFile("files/d/e/f", "x"); vm.assertEq(vm.readDir("files/d").length, 1); vm.assertEq(vm.readDir("files/d", 3).length, 2); vm.removeDir("files/d", true); vm.assertFalse(vm.exists("files/d")); }
    function testCopy() public { vm.writeFile("files/c1", "xyz"); vm.assertEq(vm.copyFile("files/c1", "files/c2"), 3); vm.assertEq(vm.readFile("files/c2"), "xyz"); vm.removeFile("files/c1"); vm.removeFile("files/c2"); }
    function testGetCode() public { vm.assertEq(vm.getCode("Texts.t.sol:Deployable"), type(Deployable).creationCode); vm.assertEq(vm.getDeployedCode("Texts.t.sol:Deployable"), type(Deployable).runtimeCode); vm.assertEq(vm.getCode("Deployable"), type(Deployable).creationCode); }
    function testDeploy() public { Deployable d = Deployable(vm.deployCode("Texts.t.sol:Deployable2", abi.encode(5))); vm.assertEq(d.v(), 5); address e = vm.deployCode("Deployable"); vm.assertEq(Deployable(e).v(), 0); }
    function testEnv() public { vm.setEnv("G_TEST", "5"); vm.assertEq(vm.envUint("G_TEST"), 5); vm.assertEq(vm.envOr("G_NONE", uint256(7)), 7); vm.assertEq(vm.envString("G_TEST"), "5"); vm.assertTrue(vm.envExists("G_TEST")); vm.assertFalse(vm.envExists("G_NONE")); vm.setEnv("G_L", "1,2,3"); vm.assertEq(vm.envUint("G_L", ",").length, 3); vm.assertEq(vm.resolveEnv("x${G_TEST}y"), "x5y"); }
    function testEnvNone() public { vm.envUint("G_NONE"); }
    function testEnvBad() public { vm.setEnv("G_BAD", "abcz"); vm.envUint("G_BAD"); }
    function testFfi() public { string[] memory c = new string[](1); c[0] = "ls"; vm.ffi(c); }
    function testGas() public { vm.startSnapshotGas("x"); uint256 s; for (uint256 i; i < 10; i++) s += i; uint256 g = vm.stopSnapshotGas(); vm.assertGt(g, 0); }
    function testPause() public { uint256 a = gasleft(); vm.pauseGasMetering(); for (uint256 i; i < 1000; i++) keccak256(abi.encode(i)); vm.resumeGasMetering(); vm.assertLt(a - gasleft(), 50000); }
}
contract Deployable { uint256 public v; }
contract Deployable2 { uint256 public v; constructor(uint256 x) { v = x; } }
