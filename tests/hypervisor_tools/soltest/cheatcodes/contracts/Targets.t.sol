// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
contract A {
    uint256 public a; uint256 public b;
    function incA() external { a++; }
    function incB() external { b++; }
    function seen() external view returns (uint256) { return a; }
}
contract B {
    uint256 public c;
    function incC() external { c++; }
}
contract Reader { uint256 public r = 1; }
interface IA { function incA() external; }
interface IB { function incC() external; }
contract Proxy {
    address t; uint256 public calls; constructor(address x) { t = x; } fallback() external { calls++; (bool ok,) = t.call(msg.data); ok; }
}
struct FuzzSelector { address addr; bytes4[] selectors; }
struct FuzzArtifactSelector { string artifact; bytes4[] selectors; }
struct FuzzInterface { address addr; string[] artifacts; }
abstract contract Base {
    A a; B b; Reader r;
    function setUp() public virtual { a = new A(); b = new B(); r = new Reader(); }
    function one(string memory x) internal pure returns (string[] memory y) { y = new string[](1); y[0] = x; }
    function sel(bytes4 x) internal pure returns (bytes4[] memory y) { y = new bytes4[](1); y[0] = x; }
}
// An invariant fails as soon as a function is called that must not be; afterInvariant, if one was never called.
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract TargetArtifactTest is Base {
    function targetArtifacts() public pure returns (string[] memory) { return one("test/Targets.t.sol:A"); }
    function invariant_b_is_not_called() public view { require(b.c() == 0, "B"); }
    function afterInvariant() public view { require(a.a() > 0 && a.b() > 0, "A not called"); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract TargetArtifactUnknownTest is Base {
    function targetArtifacts() public pure returns (string[] memory) { return one("None"); }
    function invariant_x() public view {}
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract TargetArtifactReaderTest is Base {
    function targetArtifacts() public pure returns (string[] memory) { return one("Reader"); }
    function invariant_x() public view { require(a.a() + a.b() + b.c() == 0, "called"); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract ExcludeArtifactTest is Base {
    function excludeArtifacts() public pure returns (string[] memory) { return one("A"); }
    function invariant_a_is_not_called() public view { require(a.a() + a.b() == 0, "A"); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract ExcludeArtifactsAllTest is Base {
    function excludeArtifacts() public pure returns (string[] memory y) { y = new string[](2); y[0] = "A"; y[1] = "B"; }
    function invariant_x() public view {}
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract ArtifactSelectorTest is Base {
    function targetArtifactSelectors() public pure returns (FuzzArtifactSelector[] memory y) { y = new FuzzArtifactSelector[](1); y[0] = FuzzArtifactSelector("A", sel(A.incA.selector)); }
    function invariant_only_incA() public view { require(a.b() == 0, "incB"); require(b.c() == 0, "incC"); }
    function afterInvariant() public view { require(a.a() > 0); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract ArtifactSelectorUnknownTest is Base {
    function targetArtifactSelectors() public pure returns (FuzzArtifactSelector[] memory y) { y = new FuzzArtifactSelector[](1); y[0] = FuzzArtifactSelector("A", sel(0x01020304)); }
    function invariant_x() public view {}
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract ArtifactSelectorExcludedTest is Base {
    function targetArtifactSelectors() public pure returns (FuzzArtifactSelector[] memory y) { y = new FuzzArtifactSelector[](1); y[0] = FuzzArtifactSelector("A", sel(A.incA.selector)); }
    function excludeArtifacts() public pure returns (string[] memory) { return one("A"); }
    function invariant_only_incA() public view { require(a.b() + b.c() == 0, "other"); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract SelectorTest is Base {
    function targetSelectors() public view returns (FuzzSelector[] memory y) { y = new FuzzSelector[](1); y[0] = FuzzSelector(address(a), sel(A.incA.selector)); }
    function invariant_b_is_called_too() public view { require(b.c() == 0, "incC"); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract SelectorUnknownAddressTest is Base {
    function targetSelectors() public pure returns (FuzzSelector[] memory y) { y = new FuzzSelector[](1); y[0] = FuzzSelector(address(0x1234), sel(A.incA.selector)); }
    function invariant_x() public view {}
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract ExcludeSelectorTest is Base {
    function excludeSelectors() public view returns (FuzzSelector[] memory y) { y = new FuzzSelector[](1); y[0] = FuzzSelector(address(a), sel(A.incB.selector)); }
    function invariant_not_incB() public view { require(a.b() == 0, "incB"); }
    function afterInvariant() public view { require(a.a() > 0 && b.c() > 0); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract TargetAndExcludeSelectorTest is Base {
    function targetSelectors() public view returns (FuzzSelector[] memory y) { y = new FuzzSelector[](1); y[0] = FuzzSelector(address(a), sel(A.incB.selector)); }
    function excludeSelectors() public view returns (FuzzSelector[] memory y) { y = new FuzzSelector[](1); y[0] = FuzzSelector(address(a), sel(A.incB.selector)); }
    function invariant_target_wins() public view { require(a.b() == 0, "incB"); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract InterfaceTest is Base { Proxy p;
    function setUp() public override { super.setUp(); p = new Proxy(address(a)); }
    function targetContracts() public view returns (address[] memory y) { y = new address[](1); y[0] = address(b); }
    function targetInterfaces() public view returns (FuzzInterface[] memory y) { y = new FuzzInterface[](1); y[0] = FuzzInterface(address(p), one("IA")); }
    function invariant_not_incB() public view { require(a.b() == 0, "incB"); }
    function afterInvariant() public view { require(a.a() > 0, "proxy not called"); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract SelfTest {
    uint256 public n; bool bad;
    function setUp() public { n += 1; }
    function targetContracts() public view returns (address[] memory y) { y = new address[](1); y[0] = address(this); }
    function step() public { n++; }
    function test_x() public { bad = true; }
    function testFuzz_x(uint256) public { bad = true; }
    function tableRow(uint256) public { bad = true; }
    function fixtureA() public returns (uint256[] memory x) { bad = true; }
    function beforeTestSetup(bytes4) public returns (bytes[] memory x) { bad = true; x = new bytes[](0); }
    function invariant_other() public { n = n; }
    function statefulFuzzX() public {}
    function invariant_reserved_are_not_called() public view { require(!bad, "reserved"); }
    function afterInvariant() public { require(n > 1, "step not called"); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract SelfSelectorTest {
    bool bad; uint256 n;
    function targetSelectors() public view returns (FuzzSelector[] memory y) { y = new FuzzSelector[](1); bytes4[] memory s = new bytes4[](1); s[0] = this.step.selector; y[0] = FuzzSelector(address(this), s); }
    function step() public { n++; }
    function other() public { bad = true; }
    function invariant_only_step() public view { require(!bad, "other"); }
    function afterInvariant() public view { require(n > 0); }
}
/// forge-config: default.invariant.runs = 2
/// forge-config: default.invariant.depth = 25
contract SelfExcludeSelectorTest {
    bool bad; uint256 n;
    function targetContracts() public view returns (address[] memory y) { y = new address[](1); y[0] = address(this); }
    function excludeSelectors() public view returns (FuzzSelector[] memory y) { y = new FuzzSelector[](1); bytes4[] memory s = new bytes4[](1); s[0] = this.other.selector; y[0] = FuzzSelector(address(this), s); }
    function step() public { n++; }
    function other() public { bad = true; }
    function invariant_not_other() public view { require(!bad, "other"); }
    function afterInvariant() public view { require(n > 0); }
}
