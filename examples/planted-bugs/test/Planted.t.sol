// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ActorBank} from "../ActorBank.sol";
import {DataCapPool} from "../DataCapPool.sol";
import {MarketVault} from "../MarketVault.sol";
import {MinerOwner} from "../MinerOwner.sol";
import {Payroll} from "../Payroll.sol";
import {Rewards} from "../Rewards.sol";
import {filecoinVm} from "hypervisor/FilecoinVm.sol";

/// The cheatcodes of forge that these tests use; forge-std has them all.
interface Vm {
    function prank(address sender) external;
    function deal(address account, uint256 money) external;
}

Vm constant vm = Vm(address(filecoinVm));
address constant ANNE = address(0xa11e);
address constant BERT = address(0xbe47);
address constant DORA = address(0xd04a);

/// ANNE deposits and approves BERT; BERT never gets more than she has approved.
contract MarketVaultTest {
    MarketVault private vault = new MarketVault();
    uint256 private approved;
    uint256 private spent;

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(this);
    }

    function deposit(uint64 amount) external {
        vm.deal(ANNE, amount);
        vm.prank(ANNE);
        vault.deposit{value: amount}();
    }

    function approve(uint64 amount) external {
        vm.prank(ANNE);
        vault.approve(BERT, amount);
        approved += amount;
    }

    function withdraw(uint256 amount) external {
        amount %= vault.allowance(ANNE, BERT) + 1;
        vm.prank(BERT);
        vault.withdrawFor(ANNE, amount);
        spent += amount;
    }

    function invariant_the_operator_gets_what_was_approved() external view {
        require(spent <= approved, "more than approved");
    }
}

/// No owner is proposed to the miner without two guardians.
contract MinerOwnerTest {
    MinerOwner private owner;
    uint64 private next;

    function setUp() external {
        owner = new MinerOwner([ANNE, BERT, DORA]);
        owner.own(filecoinVm.createMiner(address(owner), 1 << 40, 1 << 40));
        vm.deal(DORA, 1);
        next = filecoinVm.actorId("0x000000000000000000000000000000000000d04a");
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(this);
    }

    function vote(uint8 guardian) external {
        vm.prank([ANNE, BERT, DORA][guardian % 3]);
        owner.vote(next);
    }

    function invariant_two_guardians_agree_before_the_miner_is_asked() external view {
        require(owner.votes(next) < 2 || owner.agreements(next) >= 2, "one guardian decided");
    }
}

/// The members' credit is never more than the pool's DataCap.
contract DataCapPoolTest {
    DataCapPool private pool = new DataCapPool();

    function setUp() external {
        filecoinVm.grantDataCap(address(pool), 1 << 20);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(this);
    }

    function register(bool anne) external {
        vm.prank(anne ? ANNE : BERT);
        pool.register();
    }

    function invariant_credit_is_backed_by_datacap() external {
        require(pool.credit(ANNE) + pool.credit(BERT) <= pool.balance(), "DataCap was credited twice");
    }
}

/// What counts as paid has left the payroll.
contract PayrollTest {
    Payroll private payroll;

    function setUp() external {
        vm.deal(address(this), 100 ether);
        payroll = new Payroll{value: 100 ether}();
    }

    function testFuzz_a_paid_salary_has_left(uint64 actor, uint64 amount) external {
        payroll.pay(actor, amount);
        require(address(payroll).balance == 100 ether - payroll.paid(actor), "it is still here");
    }
}

/// A client gets back what it deposited, and the others' money stays.
contract ActorBankTest {
    ActorBank private bank = new ActorBank();
    uint64 private self;
    uint256 private again;

    function setUp() external {
        vm.deal(ANNE, 10 ether);
        vm.prank(ANNE);
        bank.deposit{value: 10 ether}();
        vm.deal(address(this), 10 ether);
        self = filecoinVm.actorId(filecoinVm.filAddress(address(this)));
    }

    function testFuzz_a_client_takes_only_its_own(uint8 times, uint64 amount) external {
        again = times % 4;
        amount %= 10 ether;
        bank.deposit{value: amount}();
        bank.withdraw(self);
        require(address(bank).balance >= 10 ether, "the money of another client is gone");
    }

    receive() external payable {
        if (again > 0 && address(bank).balance >= msg.value) {
            again--;
            bank.withdraw(self);
        }
    }
}

/// Whoever is credited can claim, whatever its address.
contract RewardsTest {
    Rewards private rewards;

    function setUp() external {
        vm.deal(address(this), 10 ether);
        rewards = new Rewards{value: 10 ether}();
    }

    function testFuzz_the_credited_actor_claims(uint160 account) external {
        address claimant = address(account | (1 << 159) - 1);
        vm.deal(claimant, 1);
        rewards.credit(filecoinVm.actorId(filecoinVm.filAddress(claimant)), 1 ether);
        vm.prank(claimant);
        rewards.claim();
    }

    receive() external payable {}
}
