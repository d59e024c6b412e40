// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

// Calls of Filecoin's precompiles and of built-in actors: f05 is the storage market, f07
// the DataCap token (FRC-0046), f099 the account of burnt funds. Method numbers: FRC-0042.
address constant RESOLVE_ADDRESS = 0xFE00000000000000000000000000000000000001;
address constant LOOKUP_DELEGATED_ADDRESS = 0xfE00000000000000000000000000000000000002;
address constant CALL_ACTOR_BY_ID = 0xfe00000000000000000000000000000000000005;
uint64 constant NAME = 48890204;
uint64 constant ADD_BALANCE = 822473126;
uint64 constant GET_BALANCE = 726108461;
uint64 constant READ_ONLY = 1;

library Native {
    function call(uint64 actor, uint64 method, uint256 value, uint64 flags, bytes memory params)
        internal
        returns (int256 exit, bytes memory answer)
    {
        uint64 codec = params.length == 0 ? 0 : 0x51;
        (bool called, bytes memory output) =
            CALL_ACTOR_BY_ID.delegatecall(abi.encode(method, value, flags, codec, params, actor));
        require(called && output.length > 0);
        (exit,, answer) = abi.decode(output, (int256, uint64, bytes));
    }
}

contract Payer {
    receive() external payable {}

    function pay(uint64 actor, uint256 value) external returns (int256 exit) {
        (exit,) = Native.call(actor, 0, value, 0, "");
    }

    function payAndRevert(uint64 actor, uint256 value) external {
        Native.call(actor, 0, value, 0, "");
        revert();
    }

    function addMarketBalance() public {
        Native.call(5, ADD_BALANCE, 5, 0, hex"420063"); // of f099
    }

    function addMarketBalanceAndRevert() external {
        addMarketBalance();
        revert();
    }

    function name(uint64 flags) external returns (bytes memory answer) {
        (, answer) = Native.call(7, NAME, 0, flags, "");
    }
}

contract ActorsTest {
    Payer payer = new Payer();
    bytes32 constant DATA_CAP = keccak256(hex"6744617461436170"); // the text "DataCap" in CBOR

    function setUp() public {
        payable(address(payer)).call{value: 100}("");
    }

    function idOf(address one) internal view returns (uint64) {
        (, bytes memory output) = RESOLVE_ADDRESS.staticcall(abi.encodePacked(hex"040a", one));
        return abi.decode(output, (uint64));
    }

    function check_name() public {
        assert(keccak256(payer.name(0)) == DATA_CAP);
        (bool success, bytes memory output) = address(payer).staticcall(abi.encodeCall(Payer.name, (READ_ONLY)));
        assert(success && keccak256(abi.decode(output, (bytes))) == DATA_CAP);
    }

    function check_nameFails(uint256 x) public {
        assert(x != 12345 || keccak256(payer.name(0)) != DATA_CAP);
    }

    function check_payments(bool twice) public {
        assert(payer.pay(99, 30) == 0 && address(payer).balance == 70);
        if (twice) assert(payer.pay(99, 60) == 0 && address(payer).balance == 10);
        assert(payer.pay(99, 71) != 0);
        assert(address(payer).balance == (twice ? 10 : 70));
    }

    function check_valueToMaskedId() public {
        uint256 before = address(this).balance;
        (bool success,) = 0xff00000000000000000000000000000000000063.call{value: 5}("");
        assert(success && address(this).balance == before - 5);
    }

    function check_revertUndoesPayment() public {
        try payer.payAndRevert(99, 90) {} catch {}
        assert(address(payer).balance == 100 && payer.pay(99, 100) == 0 && address(payer).balance == 0);
    }

    function check_changesOfAnActorAccumulate(bool twice) public {
        payer.addMarketBalance();
        try payer.addMarketBalanceAndRevert() {} catch {}
        if (twice) payer.addMarketBalance();
        (int256 exit, bytes memory balance) = Native.call(5, GET_BALANCE, 0, 0, hex"420063");
        bytes memory expected = twice ? bytes(hex"8242000a40") : bytes(hex"8242000540"); // balance, and 0 locked
        assert(exit == 0 && keccak256(balance) == keccak256(expected));
    }

    function check_staticContextPaysNothing() public {
        (bool success,) = address(payer).staticcall(abi.encodeCall(Payer.pay, (99, 7)));
        assert(address(payer).balance == 100);
        if (success) assert(payer.pay(99, 100) == 0);
    }

    function check_addresses() public view {
        (bool success, bytes memory output) = LOOKUP_DELEGATED_ADDRESS.staticcall(abi.encode(idOf(address(payer))));
        assert(success && keccak256(output) == keccak256(abi.encodePacked(hex"040a", address(payer))));
    }

    function check_valueToContract() public {
        (int256 exit,) = Native.call(idOf(address(payer)), 0, 7, 0, "");
        assert(exit == 0 && address(payer).balance == 107);
    }

    function check_undecidedSymbolicMethod(uint64 method) public {
        Native.call(7, method, 0, 0, "");
    }

    function check_undecidedSymbolicValue(uint64 value) public {
        payer.pay(99, value);
    }

    function check_undecidedCallback() public {
        Native.call(idOf(address(payer)), 3844450837, 0, 0, hex"40"); // InvokeEVM
    }

    function check_undecidedCreation() public {
        new Payer().pay(99, 0);
    }
}
