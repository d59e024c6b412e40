// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BigInts} from "filecoin-solidity-api/contracts/v0.8/utils/BigInts.sol";
import {CommonTypes} from "filecoin-solidity-api/contracts/v0.8/types/CommonTypes.sol";
import {FilAddresses} from "filecoin-solidity-api/contracts/v0.8/utils/FilAddresses.sol";
import {MarketAPI} from "filecoin-solidity-api/contracts/v0.8/MarketAPI.sol";
import {MarketTypes} from "filecoin-solidity-api/contracts/v0.8/types/MarketTypes.sol";
import {PrecompilesAPI} from "filecoin-solidity-api/contracts/v0.8/PrecompilesAPI.sol";

import {Native} from "../src/Native.sol";
import {FilecoinFork} from "../lib/FilecoinFork.sol";

interface Vm {
    function expectRevert() external;
    function prank(address sender) external;
    function roll(uint256 number) external;
    function snapshotState() external returns (uint256);
    function revertToState(uint256 snapshot) external returns (bool);
}

/// A client of the storage market, with money in escrow at the actor f05.
contract Client {
    receive() external payable {}

    function escrow() public view returns (uint256 found) {
        (int256 exit, MarketTypes.GetBalanceReturn memory balance) = MarketAPI.getBalance(_self());
        require(exit == 0, "no balance");
        (found,) = BigInts.toUint256(balance.balance);
    }

    function deposit(uint256 amount) public {
        (int256 exit,) = MarketAPI.addBalance(_self(), amount);
        require(exit == 0, "not deposited");
    }

    function depositAndFail(uint256 amount) external {
        deposit(amount);
        require(escrow() < amount, "as it should be");
    }

    function withdraw(uint256 amount) external {
        (int256 exit,) = MarketAPI.withdrawBalance(
            MarketTypes.WithdrawBalanceParams({provider_or_client: _self(), tokenAmount: BigInts.fromUint256(amount)})
        );
        require(exit == 0, "not withdrawn");
    }

    function _self() private view returns (CommonTypes.FilAddress memory) {
        return FilAddresses.fromEthAddress(address(this));
    }
}

/// Accepts the messages of one sender, as an actor that signs does.
contract Signer {
    uint64 public asked;

    function handle_filecoin_method(uint64 method, uint64 codec, bytes calldata) external returns (uint32, uint64, bytes memory) {
        require(method == 2643134072 && codec == 0x51, "not AuthenticateMessage");
        asked++;
        return (0, 0x51, hex"f5"); // true
    }
}

/// Contracts in forge, actors on the node that it forks.
contract ForkTest {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant MARKET = 0xff00000000000000000000000000000000000005;

    Native private native;
    Client private client;

    function setUp() public {
        FilecoinFork.activate();
        native = new Native();
        client = new Client();
        payable(client).transfer(10 ether);
        client.deposit(1 ether);
    }

    function test_an_actors_method_is_called() public {
        native.keepName();
        require(keccak256(bytes(native.kept())) == keccak256("DataCap"), native.kept());
    }

    function test_what_setUp_did_is_there_for_each_test_once() public {
        require(client.escrow() == 1 ether, "setUp's deposit");
        client.deposit(2 ether);
        require(client.escrow() == 3 ether, "both deposits");
    }

    function testFuzz_money_moves_between_the_worlds(uint256 amount) public {
        amount = 1 + amount % 9 ether;
        uint256 market = MARKET.balance;
        client.deposit(amount);
        require(address(client).balance == 9 ether - amount, "the client has paid");
        require(MARKET.balance == market + amount, "the market was paid");
        client.withdraw(amount + 1 ether);
        require(address(client).balance == 10 ether, "the client was paid");
        require(client.escrow() == 0 && MARKET.balance == market - 1 ether, "nothing is left");
    }

    function test_a_revert_takes_the_actors_state_back() public {
        try client.depositAndFail(3 ether) {
            revert("it must fail");
        } catch Error(string memory reason) {
            require(keccak256(bytes(reason)) == keccak256("as it should be"), reason);
        }
        require(client.escrow() == 1 ether && address(client).balance == 9 ether, "taken back");
    }

    function test_a_snapshot_has_the_actors_state() public {
        uint256 snapshot = VM.snapshotState();
        client.deposit(3 ether);
        VM.revertToState(snapshot);
        require(client.escrow() == 1 ether && address(client).balance == 9 ether, "taken back");
    }

    function test_more_than_there_is_cannot_be_paid() public {
        VM.expectRevert();
        client.deposit(100 ether);
    }

    function test_contracts_have_actor_ids() public view {
        uint64 known = PrecompilesAPI.resolveEthAddress(address(client));
        require(known >= 100 && known == PrecompilesAPI.resolveEthAddress(address(client)), "an ID that stays");
        require(PrecompilesAPI.resolveEthAddress(address(native)) != known, "two contracts, two IDs");
    }

    function test_money_is_sent_to_an_actor() public {
        uint64 actor = PrecompilesAPI.resolveEthAddress(address(client));
        uint256 before = address(client).balance;
        native.pay{value: 2 ether}(actor);
        require(address(client).balance == before + 2 ether && address(native).balance == 0, "paid by its ID");
    }

    function test_an_actors_call_of_a_contract_runs_in_forge() public {
        Signer signer = new Signer();
        uint64 id = PrecompilesAPI.resolveEthAddress(address(signer));
        bytes memory params = hex"82414141" hex"42";
        (bool success, bytes memory answer) = FilecoinFork.precompile(5).delegatecall(
            abi.encode(uint64(2643134072), uint256(0), uint64(0), uint64(0x51), params, id)
        );
        (int256 exit,, bytes memory data) = abi.decode(answer, (int256, uint64, bytes));
        require(success && exit == 0 && keccak256(data) == keccak256(hex"f5"), "accepted");
        require(signer.asked() == 1, "asked once");
    }

    function test_call_actor_must_be_delegate_called() public {
        bytes memory name = abi.encode(uint64(48890204), uint256(0), uint64(0), uint64(0), "", uint64(7));
        (bool called,) = FilecoinFork.precompile(5).call(name);
        (bool delegated,) = FilecoinFork.precompile(5).delegatecall(name);
        require(!called && delegated, "only delegate calls");
    }

    function test_randomness_of_an_epoch() public view {
        (bool success, bytes memory random) = FilecoinFork.precompile(6).staticcall(abi.encode(block.number));
        require(success && random.length == 32 && bytes32(random) != 0, "32 bytes");
    }
}

/// Asks an actor when it is called by one.
contract Nested {
    Native private immutable native = new Native();

    function handle_filecoin_method(uint64, uint64, bytes calldata) external returns (uint32, uint64, bytes memory) {
        native.keepName();
        return (0, 0x51, hex"f5");
    }
}

/// What is not possible in forge fails the test, though the calling contract does not look at the outcome.
contract NestedTest {
    function test_an_actor_calls_a_contract_that_calls_an_actor() public {
        FilecoinFork.activate();
        uint64 id = PrecompilesAPI.resolveEthAddress(address(new Nested()));
        (bool success,) = FilecoinFork.precompile(5).delegatecall(
            abi.encode(uint64(2643134072), uint256(0), uint64(0), uint64(0x51), hex"824161", id)
        );
        success;
    }
}
