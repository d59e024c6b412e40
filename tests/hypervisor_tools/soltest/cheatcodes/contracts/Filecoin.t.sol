// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating} from "./Vm.sol";
import {filecoinVm} from "hypervisor/FilecoinVm.sol";

contract Counter {
    uint256 public n;
    address public who;

    function inc() external payable returns (uint256) {
        who = msg.sender;
        return ++n;
    }
}

contract FilecoinTest is Cheating {
    Counter counter;
    string constant KEY = "f15ihq5ibzwki2b4ep2f46avlkrqzhpqgtga7pdrq";

    function setUp() public {
        counter = new Counter();
        counter.inc();
    }

    function masked(uint64 actor) internal pure returns (address) {
        return address((uint160(0xff) << 152) | uint160(actor));
    }

    function testEpochs() public {
        (uint256 number, uint256 time) = (block.number, block.timestamp);
        filecoinVm.advanceEpochs(3);
        vm.assertEq(block.number, number + 3);
        vm.assertEq(block.timestamp, time + 90);
        filecoinVm.nullRounds(2);
        vm.assertEq(block.number, number + 5);
    }

    function testMintsForAKey() public {
        filecoinVm.mintFil(KEY, 5);
        filecoinVm.mintFil(KEY, 2);
        vm.assertEq(filecoinVm.filBalance(KEY), 7);
        address account = filecoinVm.actorAddress(KEY);
        vm.assertEq(account, masked(filecoinVm.actorId(KEY)));
        vm.assertEq(account.balance, 7);
    }

    function testMintsForAnEthereumAddress() public {
        filecoinVm.mintFil(vm.toString(address(counter)), 5);
        vm.assertEq(address(counter).balance, 5);
        vm.assertEq(filecoinVm.filBalance(filecoinVm.filAddress(address(counter))), 5);
    }

    function testCallsAsABuiltInActor() public {
        filecoinVm.prankActor(4);
        counter.inc();
        vm.assertEq(counter.who(), masked(4));
        counter.inc();
        vm.assertEq(counter.who(), address(this));
    }

    // CurrentTotalPower (9) is anybody's; UpdateClaimedPower (3) is for miners only: USR_FORBIDDEN (18); no method: 22.
    function testCallsActorsInAnothersName() public {
        (int256 code, uint64 codec, bytes memory data) = filecoinVm.callActorAs(1, 4, 9, 0, "", 0);
        vm.assertEq(code, 0);
        vm.assertEq(uint256(codec), 0x51);
        vm.assertGt(data.length, 0);
        (code,,) = filecoinVm.callActorAs(100, 4, 3, 0x51, hex"824040", 0);
        vm.assertEq(code, 18);
        (code,,) = filecoinVm.callActorAs(1, 4, 77, 0, "", 0);
        vm.assertEq(code, 22);
    }

    function testMakesAMinerThatIsRewarded() public {
        uint64 miner = filecoinVm.createMiner(address(0xABCD), 1 << 40, 10 << 40);
        vm.assertEq(filecoinVm.readActorState("f04/state/miner_count"), "1");
        string memory claim = string.concat("f04/state/claims/f0", vm.toString(uint256(miner)));
        vm.assertEq(filecoinVm.readActorState(string.concat(claim, "/raw_byte_power")), "1099511627776");
        vm.assertEq(filecoinVm.readActorState(string.concat(claim, "/quality_adj_power")), "10995116277760");
        uint256 before = masked(miner).balance;
        filecoinVm.advanceEpochs(5);
        vm.assertEq(masked(miner).balance, before);
        filecoinVm.advanceEpochs(5, miner);
        vm.assertGt(masked(miner).balance, before);
    }

    function testGrantsDataCap() public {
        filecoinVm.grantDataCap(address(0xABCD), 4096);
        filecoinVm.grantDataCap(KEY, 2048);
        vm.assertEq(filecoinVm.readActorState("f07/state/token/supply"), "6144000000000000000000");
    }

    function testMeasuresFilecoinsGas() public {
        bytes memory inc = abi.encodeCall(Counter.inc, ());
        (uint64 gas, int256 code,) = filecoinVm.filecoinGas(address(5), address(counter), 0, inc);
        vm.assertEq(code, 0);
        vm.assertEq(counter.n(), 1);
        counter.inc();
        (uint64 less,, bytes memory data) =
            filecoinVm.filecoinGas(address(5), address(counter), 0, abi.encodeWithSignature("n()"));
        vm.assertEq(data, abi.encodePacked(hex"5820", uint256(2)));
        vm.assertLt(uint256(less), uint256(gas));
        vm.assertGt(uint256(less), 1_000_000);
        (, code,) = filecoinVm.filecoinGas(address(5), address(counter), 1, "");
        vm.assertEq(code, 6); // SYS_INSUFFICIENT_FUNDS
    }

    function testTakesItBackWithASnapshot() public {
        uint256 snapshot = vm.snapshotState();
        filecoinVm.createMiner(address(0xABCD), 1 << 40, 1 << 40);
        filecoinVm.advanceEpochs(2);
        vm.revertToState(snapshot);
        vm.assertEq(filecoinVm.readActorState("f04/state/miner_count"), "0");
        vm.assertEq(block.number, 1);
    }

    function testNobodyToMintFor() public {
        filecoinVm.mintFil("f01234", 5);
    }

    function testNoSuchPath() public {
        filecoinVm.readActorState("f00/zzz");
    }

    function testTooManyEpochs() public {
        filecoinVm.advanceEpochs(1_000_000);
    }
}
