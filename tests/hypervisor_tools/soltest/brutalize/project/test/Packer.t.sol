// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
import {Packer} from "../src/Packer.sol";
contract PackerTest {
    Packer p = new Packer();
    function test_packBad() public view { require(p.packBad(0x34) == 0x34, "dirty"); }
    function test_packGood() public view { require(p.packGood(0x1234) == 0x34, "dirty"); }
    function test_scratchBad() public view { require(p.scratchBad() == 0, "scratch"); }
    function test_freshBad() public view { require(p.freshBad() == 0, "memory"); }
    function test_alignedBad() public view { require(p.alignedBad() == 0, "unaligned"); }
    function test_casts() public view {
        (uint8 a, int16 b, bytes4 c, address d, address payable e, uint160 f, Packer.Kind k, int8 n, bytes31 m) =
            p.casts(0x1234, -5, bytes32(uint256(0xff01020304) << 216), address(0xbeef));
        require(a == 0x34 && b == -5 && c == 0xff010203 && d == address(0x1234) && e == address(0xbeef));
        require(f == 0xbeef && k == Packer.Kind.One && n == -1 && m == bytes31(uint248(0xff01020304) << 208));
        (address s, address o) = p.self();
        require(s == address(p) && o == address(uint160(uint256(keccak256("owner")))));
    }
}
