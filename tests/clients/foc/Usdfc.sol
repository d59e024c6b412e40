// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// What stands for the stablecoin that storage is paid with.
contract Usdfc is ERC20, ERC20Permit {
    constructor() ERC20("USD for Filecoin Community", "USDFC") ERC20Permit("USD for Filecoin Community") {
        _mint(msg.sender, 1_000_000 ether);
    }
}
