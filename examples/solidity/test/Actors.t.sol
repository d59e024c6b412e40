// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {DataCapName} from "../contracts/DataCapName.sol";
import {Inbox} from "../contracts/Inbox.sol";
import {Native} from "../contracts/Native.sol";
import {SectorStatus} from "../contracts/SectorStatus.sol";
import {filecoinVm} from "hypervisor/FilecoinVm.sol";

/// The cheatcodes of forge that these tests use; forge-std has them all.
interface Vm {
    function deal(address account, uint256 money) external;
    function expectRevert(bytes calldata reason) external;
    function assume(bool condition) external pure;
}

/// Contracts ask and pay built-in actors. Nothing here is mocked: `hypervisor test examples/solidity`.
contract ActorsTest {
    Vm private constant vm = Vm(address(filecoinVm));
    uint64 private constant POWER = 4;

    DataCapName private names;
    Inbox private inbox;

    function setUp() public {
        names = new DataCapName();
        inbox = new Inbox();
    }

    function testDatacapTellsItsName() public {
        require(keccak256(bytes(names.name())) == keccak256("DataCap"), "another name");
        names.keep();
        require(keccak256(bytes(names.kept())) == keccak256("DataCap"), "it was not kept");
    }

    /// A method that an actor does not have is exit code 22, which the contract can see.
    function testFuzz_AMethodThatIsNotThereIsAnExitCode(uint64 method) public {
        vm.assume(method >= 1 << 24);
        vm.assume(method != 48890204);
        (int256 exit,) = Native.call(POWER, method, 0, "");
        require(exit == 22 || exit == 0 || exit == 16, "an exit code that the actor does not have");
    }

    /// Numbers below 1024 are the actors' own: the precompile refuses them.
    function testFuzz_InternalMethodsAreRefused(uint16 method) public {
        method = method % 1023 + 1;
        vm.expectRevert(abi.encodeWithSelector(Native.NotCallable.selector, POWER, uint64(method)));
        this.call(POWER, method);
    }

    function call(uint64 actor, uint64 method) external returns (int256 exit) {
        (exit,) = Native.call(actor, method, 0, "");
    }

    /// Method 0 is a send: every actor takes the money.
    function testMoneySentToAnActorIsThere() public {
        uint256 before = actor().balance;
        vm.deal(address(this), 3 ether);
        (int256 exit,) = Native.call(POWER, 0, 2 ether, "");
        require(exit == 0, "the actor did not take it");
        require(address(this).balance == 1 ether, "it was not paid");
        require(actor().balance == before + 2 ether, "it did not arrive");
    }

    /// What fails is taken back in both worlds: the actor has its money no longer.
    function testARevertTakesBackWhatAnActorWasPaid() public {
        uint256 before = actor().balance;
        vm.deal(address(this), 1 ether);
        vm.expectRevert(bytes("on purpose"));
        this.payAndFail();
        require(actor().balance == before && address(this).balance == 1 ether, "something is left");
    }

    function payAndFail() external {
        (int256 exit,) = Native.call(POWER, 0, 1 ether, "");
        require(exit == 0 && address(this).balance == 0, "not paid");
        revert("on purpose");
    }

    function actor() private pure returns (address) {
        return address(uint160(0xff) << 152 | uint160(POWER));
    }

    function testAMinerWithPowerIsSeenByThePowerActor() public {
        uint64 miner = filecoinVm.createMiner(address(0xBEEF), 1 << 40, 10 << 40);
        SectorStatus sectors = new SectorStatus();
        vm.expectRevert(abi.encodeWithSelector(SectorStatus.MinerFailed.selector, int256(17)));
        sectors.expiration(miner, 7); // a sector that the miner does not have: not found
        require(bytes(filecoinVm.readActorState("f04/state/total_raw_byte_power")).length > 2, "no power");
    }

    /// An actor calls a contract: by any method number, which goes to handle_filecoin_method.
    function testAnActorCallsTheContract() public {
        uint64 id = filecoinVm.actorId(filecoinVm.filAddress(address(inbox)));
        (int256 exit,, bytes memory answer) = filecoinVm.callActorAs(POWER, id, 2468, 0x51, hex"8101", 0);
        require(exit == 0 && keccak256(answer) == keccak256(hex"8101"), "another answer");
        require(inbox.lastMethod() == 2468, "the method was not seen");
    }

    function testEpochsPassWithCron() public {
        uint256 start = block.number;
        filecoinVm.advanceEpochs(3);
        require(block.number == start + 3, "the epochs did not pass");
    }
}
