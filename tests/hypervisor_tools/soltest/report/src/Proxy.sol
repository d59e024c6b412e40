// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

error NotOwner(address caller);

library Fees {
    function cut(uint256 amount, uint256 share) public pure returns (uint256) {
        return amount * share / 10_000;
    }
    function raise(mapping(uint256 => uint256) storage shares, uint256 key, uint256 by) external {
        shares[key] += by;
    }
}

contract Proxy {
    bytes32 private constant SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;
    event Upgraded(address indexed implementation);
    constructor(address implementation, bytes memory data) payable {
        assembly { sstore(SLOT, implementation) }
        emit Upgraded(implementation);
        if (data.length > 0) {
            (bool done,) = implementation.delegatecall(data);
            require(done);
        }
    }
    fallback() external payable {
        assembly {
            calldatacopy(0, 0, calldatasize())
            let done := delegatecall(gas(), sload(SLOT), 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch done case 0 { revert(0, returndatasize()) } default { return(0, returndatasize()) }
        }
    }
    receive() external payable {}
}

contract Vault {
    address public owner;
    uint256 public total;
    mapping(uint256 => uint256) public shares;
    event Deposited(address indexed who, uint256 amount);
    function initialize(address first) external { owner = first; }
    function deposit() external payable returns (uint256 after_) {
        total += msg.value;
        emit Deposited(msg.sender, msg.value);
        return total;
    }
    function set(uint256 amount) external { total = amount; }
    function set(uint256 amount, bool twice) external { total = twice ? amount * 2 : amount; }
    function fee(uint256 amount) external view returns (uint256) { return Fees.cut(amount, 25); }
    function raise(uint256 key) external { Fees.raise(shares, key, 5); }
    function guarded() external view returns (bool) {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        return true;
    }
    function boom() external pure { assert(false); }
}

contract Factory {
    event Made(address vault);
    function make() external returns (Vault vault) { vault = new Vault(); emit Made(address(vault)); }
    function proxied(address owner) external returns (Proxy) {
        Vault vault = new Vault();
        return new Proxy(address(vault), abi.encodeCall(Vault.initialize, (owner)));
    }
    function minimal(address to) external returns (address made) {
        bytes memory code = abi.encodePacked(
            hex"3d602d80600a3d3981f3363d3d373d3d3d363d73", to, hex"5af43d82803e903d91602b57fd5bf3");
        assembly { made := create2(0, add(code, 32), mload(code), 7) }
    }
    function ask(Vault vault) external view returns (uint256) { return vault.total() + vault.fee(1000); }
}

contract Broken {
    constructor(uint256 amount) { require(amount > 5, "too small"); }
}
