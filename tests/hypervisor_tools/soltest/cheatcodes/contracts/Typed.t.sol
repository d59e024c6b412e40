// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";
// What a cheatcode answers is the words that the test fails with, so that forge's answer is the one that counts.
contract TypedTest is Cheating {
    string constant MAIL = "Mail(Person from,Person to,string contents)Person(address wallet,string name)";
    string constant DOMAIN = '"EIP712Domain":[{"name":"name","type":"string"},{"name":"version","type":"string"},{"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}]';
    string constant FIELDS = '"domain":{"name":"Ether Mail","version":"1","chainId":1,"verifyingContract":"0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"}';
    struct Person { address wallet; string name; }
    struct Mail { Person from; Person to; string contents; }
    struct Order { uint8 kind; int16 change; bool open; bytes4 tag; bytes32 id; bytes data; uint256[] parts; Person[] people; address[2] pair; bytes[] blobs; string[] names; }
    string constant ORDER = "Order(uint8 kind,int16 change,bool open,bytes4 tag,bytes32 id,bytes data,uint256[] parts,Person[] people,address[2] pair,bytes[] blobs,string[] names)Person(address wallet,string name)";
    function said(bytes32 hash) internal { revert(vm.toString(hash)); }
    function ofType(string memory text) internal { said(vm.eip712HashType(text)); }
    function ofData(string memory text) internal { said(vm.eip712HashTypedData(text)); }
    function ofStruct(string memory text, bytes memory data) internal { said(vm.eip712HashStruct(text, data)); }
    function testType() public { ofType(MAIL); }
    function testTypeSpaces() public { ofType("Mail(Person from, Person to, string contents) Person(address wallet, string name)"); }
    function testTypeOrder() public { ofType("Person(address wallet,string name)Mail(Person from,Person to,string contents)"); }
    function testTypeDeep() public { ofType("A(C c,B b)C(D d)B(uint256 x)D(bool y)"); }
    function testTypeShort() public { ofType("A(uint x,int y)"); }
    function testTypeArray() public { ofType("A(B[] b,B[2][] c)B(uint256 x)"); }
    function testTypeUnused() public { ofType("A(uint256 x)B(uint256 y)"); }
    function testTypeMissing() public { ofType("A(B b)"); }
    function testTypeCycle() public { ofType("A(A[] a)"); }
    function testTypeEmpty() public { ofType("A()"); }
    function testTypeBadWord() public { ofType("A(uint256 1x)"); }
    function testTypeName() public { ofType("Mail"); }
    function testTypeNone() public { ofType(""); }
    function testStruct() public { ofStruct(MAIL, abi.encode(Mail(Person(address(1), "Cow"), Person(address(2), "Bob"), "Hello, Bob!"))); }
    function testStructAll() public {
        Order memory o;
        o.kind = 3; o.change = -2; o.open = true; o.tag = 0x01020304; o.id = bytes32("id"); o.data = hex"c0ffee";
        o.parts = new uint256[](3); o.parts[1] = 7;
        o.people = new Person[](2); o.people[0] = Person(address(5), "five"); o.pair[1] = address(9);
        o.blobs = new bytes[](1); o.blobs[0] = hex"aa"; o.names = new string[](2); o.names[0] = "n";
        ofStruct(ORDER, abi.encode(o));
    }
    function testStructFlat() public { ofStruct("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)", abi.encode(address(1), address(2), 3, 4, 5)); }
    function testStructShort() public { ofStruct("Permit(address owner,uint256 value)", abi.encode(address(1))); }
    function testStructNoType() public { ofStruct("Permit", abi.encode(address(1))); }
    function testData() public {
        ofData(string.concat('{"types":{', DOMAIN, ',"Person":[{"name":"name","type":"string"},{"name":"wallet","type":"address"}],"Mail":[{"name":"from","type":"Person"},{"name":"to","type":"Person"},{"name":"contents","type":"string"}]},"primaryType":"Mail",', FIELDS, ',"message":{"from":{"name":"Cow","wallet":"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},"to":{"name":"Bob","wallet":"0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},"contents":"Hello, Bob!"}}'));
    }
    function testDataKinds() public {
        ofData(string.concat('{"types":{', DOMAIN, ',"A":[{"name":"n","type":"uint256"},{"name":"i","type":"int8"},{"name":"b","type":"bool"},{"name":"h","type":"bytes32"},{"name":"d","type":"bytes"},{"name":"l","type":"uint8[]"},{"name":"f","type":"bytes2[2]"}]},"primaryType":"A",', FIELDS, ',"message":{"n":"0xff","i":"-5","b":true,"h":"0x0000000000000000000000000000000000000000000000000000000000000001","d":"0xc0ffee","l":[1,"2"],"f":["0x0102","0x0304"]}}'));
    }
    function testDataFewer() public {
        ofData('{"types":{"EIP712Domain":[{"name":"name","type":"string"}],"A":[{"name":"n","type":"uint256"}]},"primaryType":"A","domain":{"name":"only","version":"2"},"message":{"n":5}}');
    }
    function testDataNoDomainType() public {
        ofData('{"types":{"A":[{"name":"n","type":"uint256"}]},"primaryType":"A","domain":{"name":"only","version":"2","chainId":"0x7a69"},"message":{"n":5}}');
    }
    function testDataSalt() public {
        ofData('{"types":{"EIP712Domain":[{"name":"salt","type":"bytes32"}],"A":[{"name":"n","type":"uint256"}]},"primaryType":"A","domain":{"salt":"0x0101010101010101010101010101010101010101010101010101010101010101"},"message":{"n":5}}');
    }
    function testDataPrimary() public {
        ofData('{"types":{"EIP712Domain":[{"name":"name","type":"string"}],"A":[{"name":"n","type":"uint256"}]},"primaryType":"EIP712Domain","domain":{"name":"only"},"message":{}}');
    }
    function testDataNoType() public {
        ofData('{"types":{"EIP712Domain":[{"name":"name","type":"string"}]},"primaryType":"A","domain":{"name":"only"},"message":{}}');
    }
    function testKey() public { (bytes32 a, bytes32 b) = vm.createEd25519Key(bytes32(uint256(5))); revert(string.concat(vm.toString(a), vm.toString(b))); }
    function testKeyPublic() public { said(vm.publicKeyEd25519(bytes32(uint256(7)))); }
    function testKeySign() public { revert(vm.toString(vm.signEd25519("space", "message", bytes32(uint256(7))))); }
    function testKeyVerify() public {
        bytes memory s = vm.signEd25519("space", "message", bytes32(uint256(7)));
        bytes32 key = vm.publicKeyEd25519(bytes32(uint256(7)));
        require(vm.verifyEd25519(s, "space", "message", key) && !vm.verifyEd25519(s, "spacem", "essagf", key));
        require(vm.verifyEd25519(s, "spacem", "essage", key), "namespace and message are one");
    }
    function testKeyShort() public { vm.verifyEd25519(hex"00", "", "", bytes32(0)); }
    function testKeyNoPoint() public { require(!vm.verifyEd25519(new bytes(64), "", "", bytes32(type(uint256).max))); }
}
contract Worker {
    uint256 slot;
    event Done(uint256 indexed number, string text);
    function nothing() external {}
    function set(uint256 value) external { slot = value; emit Done(value, "done"); }
    function fails() external { slot = 5; revert("no"); }
    function twice() external { this.nothing(); this.set(3); }
    receive() external payable {}
}
contract MeteringTest is Cheating {
    Worker worker;
    uint256 kept;
    event Here(address who);
    function setUp() public { worker = new Worker(); worker.set(1); kept = gasleft(); }
    function told() internal {
        Vm.Gas memory g = vm.lastCallGas();
        revert(string.concat(vm.toString(uint256(g.gasTotalUsed)), " ", vm.toString(uint256(g.gasMemoryUsed)), " ", vm.toString(int256(g.gasRefunded)), " ", vm.toString(uint256(g.gasLimit - g.gasTotalUsed - g.gasRemaining))));
    }
    function testNone() public { vm.lastCallGas(); }
    function testNothing() public { worker.nothing(); told(); }
    function testLimit() public { worker.nothing{gas: 50000}(); Vm.Gas memory g = vm.lastCallGas(); revert(string.concat(vm.toString(uint256(g.gasLimit)), " ", vm.toString(uint256(g.gasRemaining)))); }
    function testSet() public { worker.set(2); told(); }
    function testClear() public { worker.set(0); told(); }
    function testTwice() public { worker.twice(); told(); }
    function testValue() public { payable(address(worker)).transfer(1); told(); }
    function testRefused() public { try worker.fails() {} catch {} told(); }
    function testPrecompile() public { sha256("abc"); told(); }
    function testAccount() public { (bool ok,) = address(0x1234).call(""); require(ok); told(); }
    function testAfterCreation() public { worker.set(2); new Worker(); told(); }
    function testAfterCheat() public { worker.set(2); vm.warp(5); told(); }
    function testSnapshot() public { worker.set(2); revert(vm.toString(vm.snapshotGasLastCall("set"))); }
    function testSnapshotNone() public { vm.snapshotGasLastCall("set"); }
    function testLogsJson() public { vm.recordLogs(); worker.set(9); emit Here(address(5)); revert(vm.getRecordedLogsJson()); }
    function testLogsJsonNone() public { revert(vm.getRecordedLogsJson()); }
}
