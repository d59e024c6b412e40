// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {FilAddressIdConverter} from "filecoin-solidity-api/contracts/v0.8/utils/FilAddressIdConverter.sol";
import {Frc46} from "./Frc46.sol";

/// One token with two faces: ERC-20 to Ethereum's wallets and contracts, FRC-46 to native actors. Each holder has one
/// balance and each operator one allowance, by whichever address or face they are named.
contract DualToken is ERC20 {
    /// FRC-46 wants to tell the receiver, so there must be one.
    error NoSuchActor();

    uint64 private constant NO_DATA = 0;
    uint64 private constant CBOR_CODEC = 0x51;

    /// USR_UNHANDLED_MESSAGE: not a method of this token.
    uint32 private constant UNHANDLED = 22;

    constructor(uint256 supply) ERC20("Dual Token", "DUAL") {
        _mint(msg.sender, supply);
    }

    // ---- one balance: an actor with an f410 address is never booked under its masked ID

    function balanceOf(address holder) public view override returns (uint256) {
        return super.balanceOf(FilAddressIdConverter.normalize(holder));
    }

    function allowance(address owner, address spender) public view override returns (uint256) {
        return super.allowance(FilAddressIdConverter.normalize(owner), FilAddressIdConverter.normalize(spender));
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(FilAddressIdConverter.normalize(from), FilAddressIdConverter.normalize(to), amount);
    }

    function _approve(address owner, address spender, uint256 amount, bool emitEvent) internal override {
        owner = FilAddressIdConverter.normalize(owner);
        super._approve(owner, FilAddressIdConverter.normalize(spender), amount, emitEvent);
    }

    // ---- the native face

    /// The EVM actor calls this for each method number but InvokeEVM. A revert is exit code 33 to the native caller.
    function handle_filecoin_method(uint64 method, uint64 codec, bytes calldata params)
        external
        returns (uint32 exit, uint64 answerCodec, bytes memory answer)
    {
        if (params.length == 0 ? codec != NO_DATA : codec != CBOR_CODEC) revert Frc46.BadParameters();
        answer = read(method, params);
        if (answer.length == 0) answer = act(method, params);
        if (answer.length == 0) return (UNHANDLED, NO_DATA, "");
        return (0, CBOR_CODEC, answer);
    }

    function read(uint64 method, bytes memory params) private view returns (bytes memory answer) {
        if (method == Frc46.NAME) answer = Frc46.encodeText(name());
        if (method == Frc46.SYMBOL) answer = Frc46.encodeText(symbol());
        if (method == Frc46.GRANULARITY) answer = hex"01";
        if (method == Frc46.TOTAL_SUPPLY) answer = Frc46.encodeAmount(totalSupply());
        if (answer.length > 0) {
            Frc46.end(params, 0); // these take none
            return answer;
        }
        if (method == Frc46.BALANCE) {
            (address holder, uint256 next) = Frc46.readHolder(params, 0);
            Frc46.end(params, next);
            return Frc46.encodeAmount(balanceOf(holder));
        }
        if (method == Frc46.ALLOWANCE) {
            uint256 position = Frc46.readTuple(params, 2);
            (address owner, address operator) = (address(0), address(0));
            (owner, position) = Frc46.readHolder(params, position);
            (operator, position) = Frc46.readHolder(params, position);
            Frc46.end(params, position);
            return Frc46.encodeAmount(allowance(owner, operator));
        }
        return "";
    }

    function act(uint64 method, bytes memory params) private returns (bytes memory) {
        if (method == Frc46.TRANSFER) return transferNative(msg.sender, params, Frc46.readTuple(params, 3), false);
        if (method == Frc46.TRANSFER_FROM) {
            (address from, uint256 position) = mustReadHolder(params, Frc46.readTuple(params, 4));
            return transferNative(from, params, position, true);
        }
        if (method == Frc46.BURN) return burn(msg.sender, params, Frc46.readTuple(params, 1), false);
        if (method == Frc46.BURN_FROM) {
            (address owner, uint256 position) = mustReadHolder(params, Frc46.readTuple(params, 2));
            return burn(owner, params, position, true);
        }
        if (method == Frc46.REVOKE_ALLOWANCE) {
            (address operator, uint256 next) = mustReadHolder(params, Frc46.readTuple(params, 1));
            Frc46.end(params, next);
            uint256 revoked = allowance(msg.sender, operator);
            _approve(msg.sender, operator, 0);
            return Frc46.encodeAmount(revoked);
        }
        if (method == Frc46.INCREASE_ALLOWANCE || method == Frc46.DECREASE_ALLOWANCE) {
            (address operator, uint256 position) = mustReadHolder(params, Frc46.readTuple(params, 2));
            uint256 change;
            (change, position) = Frc46.readAmount(params, position);
            Frc46.end(params, position);
            uint256 allowed = allowance(msg.sender, operator);
            // Less than nothing is nothing, as with the built-in token.
            if (method == Frc46.INCREASE_ALLOWANCE) allowed += change;
            else allowed = change < allowed ? allowed - change : 0;
            _approve(msg.sender, operator, allowed);
            return Frc46.encodeAmount(allowed);
        }
        return "";
    }

    /// Moves first, then tells the receiver: what it sees, and what it may do at once, is the new balance.
    function transferNative(address from, bytes memory params, uint256 position, bool byOperator)
        private
        returns (bytes memory)
    {
        (address to, uint256 afterHolder) = mustReadHolder(params, position);
        (uint256 amount, uint256 afterAmount) = Frc46.readAmount(params, afterHolder);
        (bytes memory operatorData, uint256 next) = Frc46.readData(params, afterAmount);
        Frc46.end(params, next);
        if (byOperator) _spendAllowance(from, msg.sender, amount);
        _transfer(from, to, amount);
        bytes memory received = Frc46.tell(from, to, msg.sender, amount, operatorData);
        return Frc46.encodeTransfer(amounts(from, to, byOperator), received);
    }

    function amounts(address from, address to, bool byOperator) private view returns (uint256[] memory found) {
        found = new uint256[](byOperator ? 3 : 2);
        (found[0], found[1]) = (balanceOf(from), balanceOf(to));
        if (byOperator) found[2] = allowance(from, msg.sender);
    }

    function burn(address owner, bytes memory params, uint256 position, bool byOperator) private returns (bytes memory) {
        (uint256 amount, uint256 next) = Frc46.readAmount(params, position);
        Frc46.end(params, next);
        if (byOperator) _spendAllowance(owner, msg.sender, amount);
        _burn(owner, amount);
        uint256[] memory left = new uint256[](byOperator ? 2 : 1);
        left[0] = balanceOf(owner);
        if (byOperator) left[1] = allowance(owner, msg.sender);
        return Frc46.encodeAmounts(left);
    }

    function mustReadHolder(bytes memory params, uint256 position) private view returns (address holder, uint256 next) {
        (holder, next) = Frc46.readHolder(params, position);
        if (holder == address(0)) revert NoSuchActor();
    }
}
