// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";

contract ShareNUMBER is ERC20Permit, ERC20Votes, AccessControl, ReentrancyGuard {
    bytes32 public constant ISSUER = keccak256("ISSUER");

    constructor() ERC20("Share", "SNUMBER") ERC20Permit("Share") {
        _grantRole(DEFAULT_ADMIN_ROLE, msg.sender);
    }

    function issue(address to, uint256 amount) external nonReentrant onlyRole(ISSUER) {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }

    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }
}
