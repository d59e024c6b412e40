// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

contract Packer {
    enum Kind { None, One }
    address constant OWNER = address(uint160(uint256(keccak256("owner"))));

    // relies on clean upper bits of a uint8
    function packBad(uint256 a) external pure returns (uint256 r) {
        uint8 low = uint8(a);
        assembly { r := low }
    }

    function packGood(uint256 a) external pure returns (uint256 r) {
        uint8 low = uint8(a);
        assembly { r := and(low, 0xff) }
    }

    // relies on a zero scratch space
    function scratchBad() external pure returns (uint256 r) {
        assembly { r := mload(0x00) }
    }

    // relies on zero unallocated memory
    function freshBad() external pure returns (uint256 r) {
        assembly { r := mload(mload(0x40)) }
    }

    function alignedBad() external pure returns (uint256 r) {
        assembly { r := mod(mload(0x40), 0x20) }
    }

    function casts(uint256 a, int256 b, bytes32 c, address d)
        external
        pure
        returns (uint8 p, int16 q, bytes4 r, address s, address payable t, uint160 u, Kind k, int8 n, bytes31 m)
    {
        p = uint8(uint16(a));
        q = int16(b);
        r = bytes4(c);
        s = address(uint160(a));
        t = payable(address(uint160(uint256(uint160(d)))));
        u = uint160(d);
        k = Kind(uint8(1));
        n = int8(uint8(bytes1(c)));
        m = bytes31(c);
    }

    function self() external view returns (address, address) {
        return (address(this), OWNER);
    }
}
