// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {RewardStreams} from "../RewardStreams.sol";
import {StreamCouncil} from "../StreamCouncil.sol";
import {filecoinVm} from "hypervisor/FilecoinVm.sol";

/// The cheatcodes of forge that these tests use; forge-std has them all.
interface Vm {
    function prank(address sender) external;
    function deal(address account, uint256 money) external;
    function expectRevert(bytes calldata reason) external;
}

/// The council beside the real f02, no mock: `hypervisor test examples/solstice --rules filecoin --network nv29`.
contract StreamCouncilTest {
    Vm private constant vm = Vm(address(filecoinVm));
    uint64 private constant TIMELOCK = 3;
    uint64 private constant MINERS = 1;
    uint64 private constant STREAM = 2;
    uint64 private constant WHOLE = 10 ** 18;
    address private constant ANNE = address(0xa11e);
    address private constant BERT = address(0xbe47);
    address private constant DORA = address(0xd04a);
    address private constant EMIL = address(0xe311);
    address private constant FAYE = address(0xfa7e);

    StreamCouncil private council;
    uint64 private miner;

    function setUp() public {
        council = new StreamCouncil(ANNE, BERT);
        filecoinVm.governStreams(address(council), TIMELOCK);
        for (uint160 i = 0; i < 3; i++) {
            vm.deal([DORA, EMIL, FAYE][i], 1); // f02 wants recipients that exist
        }
        miner = filecoinVm.createMiner(ANNE, 1 << 40, 1 << 40);
    }

    /// A tenth of each reward for the stream, three quarters of it DORA's.
    function open() private {
        vm.prank(ANNE);
        council.setWeight(MINERS, flat(WHOLE / 10 * 9));
        vm.prank(BERT);
        council.setWeight(MINERS, flat(WHOLE / 10 * 9));
        filecoinVm.advanceEpochs(TIMELOCK);
        int64 activation = int64(uint64(block.number) + TIMELOCK);
        vm.prank(ANNE);
        council.registerStream(STREAM, flat(WHOLE / 10), map(DORA, WHOLE / 4 * 3, EMIL), activation);
        vm.prank(BERT);
        council.registerStream(STREAM, flat(WHOLE / 10), map(DORA, WHOLE / 4 * 3, EMIL), activation);
        filecoinVm.advanceEpochs(TIMELOCK);
    }

    function testRecipientsGetTheirPartsOfAReward() public {
        open();
        filecoinVm.advanceEpochs(10, miner);
        uint256[] memory paid = council.claim(STREAM, both(DORA, EMIL));
        require(paid[0] > 0 && paid[0] / 3 == paid[1], "not three quarters and one");
        require(DORA.balance == 1 + paid[0] && EMIL.balance == 1 + paid[1], "not paid");
        uint256[] memory again = council.claim(STREAM, both(DORA, FAYE));
        require(again[0] == 0 && again[1] == 0, "paid twice, or a stranger");
    }

    function testARecipientIsReplacedAndKeepsWhatItEarned() public {
        open();
        filecoinVm.advanceEpochs(2, miner);
        vm.prank(ANNE);
        council.replaceAddress(STREAM, EMIL, FAYE);
        filecoinVm.advanceEpochs(2, miner);
        uint256[] memory paid = council.claim(STREAM, both(EMIL, FAYE));
        require(paid[0] > 0 && paid[1] > 0, "both have earned");
        vm.expectRevert(abi.encodeWithSelector(StreamCouncil.NoShare.selector, STREAM, EMIL));
        vm.prank(BERT);
        council.replaceAddress(STREAM, EMIL, FAYE);
    }

    function testSharesThatMissTheWholeByOneAreRefused() public {
        open();
        RewardStreams.Share[] memory shares = map(DORA, WHOLE / 2, EMIL);
        shares[1].share -= 1;
        vm.prank(ANNE);
        council.setShares(STREAM, shares);
        vm.expectRevert(abi.encodeWithSelector(RewardStreams.Refused.selector, uint64(2414422607), int256(16)));
        vm.prank(BERT);
        council.setShares(STREAM, shares);
    }

    /// What one owner wants alone changes nothing; another contract is not the authority (18).
    function testStrangersGovernNothing() public {
        vm.expectRevert(abi.encodeWithSelector(StreamCouncil.NotAnOwner.selector, DORA));
        vm.prank(DORA);
        council.setWeight(MINERS, flat(0));
        StreamCouncil other = new StreamCouncil(ANNE, BERT);
        vm.prank(ANNE);
        other.setWeight(MINERS, flat(0));
        vm.expectRevert(abi.encodeWithSelector(RewardStreams.Refused.selector, uint64(3362570548), int256(18)));
        vm.prank(BERT);
        other.setWeight(MINERS, flat(0));
    }

    function testFuzz_SharesArePaidToTheAttoFil(uint64 share) public {
        share = share % (WHOLE - 1) + 1;
        open();
        vm.prank(ANNE);
        council.setShares(STREAM, map(DORA, share, EMIL));
        vm.prank(BERT);
        council.setShares(STREAM, map(DORA, share, EMIL));
        uint256 before = address(0xff00000000000000000000000000000000000002).balance;
        filecoinVm.advanceEpochs(1, miner);
        uint256[] memory paid = council.claim(STREAM, both(DORA, EMIL));
        uint256 reward = before - address(0xff00000000000000000000000000000000000002).balance;
        uint256 part = reward / 10; // a tenth, rounded down, is what the stream got of the whole
        require(paid[0] == part * share / WHOLE, "another share");
        require(part - paid[0] - paid[1] <= 1, "more than dust is missing");
    }

    function flat(uint64 weight) private pure returns (RewardStreams.Weight memory) {
        return RewardStreams.Weight(weight, 0, 0, weight, weight);
    }

    function map(address one, uint64 share, address other) private pure returns (RewardStreams.Share[] memory shares) {
        shares = new RewardStreams.Share[](2);
        shares[0] = RewardStreams.Share(one, share);
        shares[1] = RewardStreams.Share(other, WHOLE - share);
    }

    function both(address one, address other) private pure returns (address[] memory wallets) {
        wallets = new address[](2);
        (wallets[0], wallets[1]) = (one, other);
    }
}
