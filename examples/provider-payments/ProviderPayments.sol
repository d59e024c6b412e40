// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {PowerAPI} from "filecoin-solidity-api/contracts/v0.8/PowerAPI.sol";
import {SendAPI} from "filecoin-solidity-api/contracts/v0.8/SendAPI.sol";
import {CommonTypes} from "filecoin-solidity-api/contracts/v0.8/types/CommonTypes.sol";

/// Pays storage providers by the epoch: a client pays in, the provider's actor gets what is due, the client may leave.
contract ProviderPayments {
    struct Plan {
        address client;
        uint64 provider;
        uint64 paidUntil;
        uint256 perEpoch;
        uint256 funds;
    }

    event Opened(uint256 indexed plan, address indexed client, uint64 indexed provider, uint256 perEpoch, uint256 funds);
    event Paid(uint256 indexed plan, uint64 indexed provider, uint256 amount);
    event Closed(uint256 indexed plan, uint256 refund);

    /// The power actor knows no such miner: it answered with this exit code.
    error NotAProvider(uint64 actor, int256 exit);
    error NotTheClient(address caller);
    error NothingDue(uint256 plan);
    /// A plan needs a price, and funds for one epoch at least.
    error TooLittle(uint256 funds, uint256 perEpoch);
    /// The send ended with an exit code of the provider's (above 0), or was refused by the machine (below 0).
    error PaymentFailed(uint64 provider, int256 exit);
    error RefundFailed(address client);

    /// By number; a closed plan has no client.
    Plan[] public plans;

    /// Opens a plan with all the value that comes along.
    function open(uint64 provider, uint256 perEpoch) external payable returns (uint256 plan) {
        // Any actor's number could be given, and money sent to an account or to nobody's contract is gone. The power
        // actor has a claim for each miner, and for miners only.
        (int256 exit,) = PowerAPI.minerRawPower(provider);
        if (exit != 0) revert NotAProvider(provider, exit);
        if (perEpoch == 0 || msg.value < perEpoch) revert TooLittle(msg.value, perEpoch);
        plan = plans.length;
        plans.push(Plan(msg.sender, provider, uint64(block.number), perEpoch, msg.value));
        emit Opened(plan, msg.sender, provider, perEpoch, msg.value);
    }

    /// What the provider would get now. `block.number` is the epoch.
    function due(uint256 plan) public view returns (uint256) {
        Plan storage p = plans[plan];
        uint256 accrued = (block.number - p.paidUntil) * p.perEpoch;
        return accrued < p.funds ? accrued : p.funds;
    }

    /// Pays what is due. Anyone may call this: the money has one place to go.
    function pay(uint256 plan) external returns (uint256 amount) {
        amount = due(plan);
        if (amount == 0) revert NothingDue(plan);
        settle(plan, amount);
    }

    /// Pays what is due and gives the rest back to the client.
    function close(uint256 plan) external {
        address client = plans[plan].client;
        if (msg.sender != client) revert NotTheClient(msg.sender);
        uint256 amount = due(plan);
        if (amount > 0) settle(plan, amount);
        uint256 refund = plans[plan].funds;
        delete plans[plan];
        emit Closed(plan, refund);
        (bool sent,) = client.call{value: refund}("");
        if (!sent) revert RefundFailed(client);
    }

    /// State first, money last: a provider's actor is code of somebody else's, and could call back.
    function settle(uint256 plan, uint256 amount) private {
        Plan storage p = plans[plan];
        p.funds -= amount;
        p.paidUntil = uint64(block.number);
        emit Paid(plan, p.provider, amount);
        // A miner knows no InvokeEVM: `provider.call{value: ...}("")` would fail with 22. Method 0 only moves money.
        int256 exit = SendAPI.send(CommonTypes.FilActorId.wrap(p.provider), amount);
        if (exit != 0) revert PaymentFailed(p.provider, exit);
    }
}
