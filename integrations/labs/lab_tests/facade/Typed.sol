// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.8;

import {BatchReturn, Cid, FilAddress, Filecoin, FilecoinErrors} from "./FilecoinTypes.sol";
import {IAccount} from "./IAccount.sol";
import {IDatacap} from "./IDatacap.sol";
import {IMarket} from "./IMarket.sol";
import {IMiner} from "./IMiner.sol";
import {IMultisig} from "./IMultisig.sol";
import {IPower} from "./IPower.sol";
import {IVerifiedRegistry} from "./IVerifiedRegistry.sol";

/// Calls actors as if they were contracts.
contract Typed {
    receive() external payable {}

    function token() external view returns (string memory, string memory, int256, int128) {
        IDatacap datacap = IDatacap(Filecoin.actor(7));
        return (datacap.name(), datacap.symbol(), datacap.totalSupply(), datacap.granularity());
    }

    function allow(address operator, int256 amount) external returns (int256) {
        return IDatacap(Filecoin.actor(7)).increaseAllowance(Filecoin.addressOf(operator), amount);
    }

    function deposit() external payable returns (int256 balance, int256 locked) {
        IMarket market = IMarket(Filecoin.actor(5));
        market.addBalance{value: msg.value}(Filecoin.addressOf(address(this)));
        return market.getBalance(Filecoin.addressOf(address(this)));
    }

    function deal(uint64 id) external view returns (string memory label, bytes memory cid, uint64 size, int64 start) {
        IMarket market = IMarket(Filecoin.actor(5));
        IMarket.Label memory found = market.getDealLabel(id);
        Cid memory data;
        (data, size) = market.getDealDataCommitment(id);
        (start, ) = market.getDealTerm(id);
        return (found.stringValue[0], data.data, size, start);
    }

    function miner(uint64 id) external view returns (bytes memory owner, uint256 proposed, int128 size, int256 power) {
        IMiner provider = IMiner(Filecoin.actor(id));
        (FilAddress memory first, FilAddress[] memory next) = provider.getOwner();
        (power, ) = IPower(Filecoin.actor(4)).minerRawPower(id);
        return (first.data, next.length, provider.getSectorSize(), power);
    }

    function handOver(uint64 id, FilAddress calldata to, int256 quota, int64 until) external returns (bytes memory, int256) {
        IMiner provider = IMiner(Filecoin.actor(id));
        provider.changeBeneficiary(to, quota, until);
        (, IMiner.PendingBeneficiaryChange[] memory proposed) = provider.getBeneficiary();
        return (proposed[0].newBeneficiary.data, proposed[0].newQuota);
    }

    function claims(uint64 provider, uint64[] calldata ids) external view returns (int128, uint32, uint64, int64) {
        (BatchReturn memory batch, IVerifiedRegistry.Claim[] memory found) =
            IVerifiedRegistry(Filecoin.actor(6)).getClaims(provider, ids);
        return (batch.successCount, batch.failCodes[0].code, found[0].client, found[0].termMin);
    }

    function signed(uint64 account, bytes calldata signature, bytes calldata message) external view returns (bool) {
        return IAccount(Filecoin.actor(account)).authenticateMessage(signature, message);
    }

    /// The actor's exit code, from the typed error.
    function approve(uint64 multisig, int64 id) external returns (uint64 actor, uint64 method, uint32 exitCode) {
        try IMultisig(Filecoin.actor(multisig)).approve(id, "") {
            return (multisig, 0, 0);
        } catch (bytes memory reason) {
            require(bytes4(reason) == FilecoinErrors.ActorError.selector, "another error");
            assembly {
                actor := mload(add(reason, 0x24))
                method := mload(add(reason, 0x44))
                exitCode := mload(add(reason, 0x64))
            }
        }
    }

    function addresses(uint64 id, address who) external pure returns (address, bytes memory, bytes memory) {
        return (Filecoin.actor(id), Filecoin.idAddress(id).data, Filecoin.addressOf(who).data);
    }
}
