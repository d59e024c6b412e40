// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.24;
import {Cheating, Vm} from "./Vm.sol";

contract Lent {
    uint256 public n;

    function inc() external returns (address) {
        n++;
        return address(this);
    }
}

contract DelegationsTest is Cheating {
    Lent lent;
    uint256 constant KEY = 77;
    address account;

    function setUp() public {
        lent = new Lent();
        account = vm.addr(KEY);
    }

    function testAttached() public {
        vm.signAndAttachDelegation(address(lent), KEY);
        vm.assertEq(account.code, abi.encodePacked(hex"ef0100", address(lent)));
        vm.assertEq(Lent(account).inc(), account);
        vm.assertEq(Lent(account).n(), 1);
        vm.assertEq(lent.n(), 0);
    }

    function testSignedThenAttached() public {
        Vm.SignedDelegation memory signed = vm.signDelegation(address(lent), KEY);
        vm.assertEq(account.code.length, 0);
        vm.attachDelegation(signed);
        vm.assertEq(Lent(account).inc(), account);
    }

    function testExact() public {
        Vm.SignedDelegation memory signed = vm.signDelegation(address(lent), KEY, 5);
        vm.assertEq(uint256(signed.nonce), 5);
        vm.assertEq(signed.r, signed.s);
    }

    function testWrongNonce() public {
        vm.attachDelegation(vm.signDelegation(address(lent), KEY, 5));
    }

    function testForAnother() public {
        Vm.SignedDelegation memory signed = vm.signDelegation(address(lent), KEY);
        signed.implementation = address(5);
        vm.attachDelegation(signed);
        vm.assertEq(account.code.length, 0);
    }

    function testTakenBack() public {
        vm.signAndAttachDelegation(address(lent), KEY, true);
        vm.signAndAttachDelegation(address(0), KEY);
        vm.assertEq(account.code.length, 0);
    }

    function testNonceAfterOwnBroadcast() public {
        Vm.SignedDelegation memory signed = vm.signDelegation(address(lent), KEY);
        vm.broadcast(KEY);
        lent.inc();
        vm.assertEq(uint256(vm.getNonce(account)), 1);
        vm.attachDelegation(signed);
    }

    function testNonceOfOwnBroadcast() public {
        vm.startBroadcast(KEY);
        vm.assertEq(uint256(vm.signAndAttachDelegation(address(lent), KEY).nonce), 1);
        Lent(account).inc();
        vm.assertEq(uint256(vm.getNonce(account)), 2);
        vm.assertEq(uint256(vm.signAndAttachDelegation(address(0), KEY).nonce), 3);
        vm.assertEq(account.code.length, 0);
        vm.assertEq(account.codehash, keccak256(""));
    }

    function testNonceOfAnothersBroadcast() public {
        vm.signAndAttachDelegation(address(lent), KEY);
        vm.broadcast(uint256(78));
        Lent(account).inc();
        vm.assertEq(uint256(vm.getNonce(account)), 0);
        vm.assertEq(uint256(vm.getNonce(vm.addr(78))), 1);
        vm.assertEq(uint256(vm.signDelegation(address(lent), KEY).nonce), 0);
    }

    function testNonceOfCreation() public {
        vm.signAndAttachDelegation(address(lent), KEY);
        vm.broadcast(uint256(78));
        new Lent();
        vm.assertEq(uint256(vm.signDelegation(address(lent), KEY).nonce), 1);
    }

    function testBlobWithDelegation() public {
        vm.attachBlob("blob");
        vm.signAndAttachDelegation(address(lent), KEY);
        vm.broadcast(KEY);
        lent.inc();
    }

    function testCallers() public {
        vm.broadcast(KEY);
        (uint256 mode, address sender, address origin) = vm.readCallers();
        vm.assertEq(mode, 1);
        vm.assertEq(sender, account);
        vm.assertEq(origin, account);
        lent.inc();
        vm.startBroadcast(KEY);
        (mode,,) = vm.readCallers();
        vm.assertEq(mode, 2);
    }
}
