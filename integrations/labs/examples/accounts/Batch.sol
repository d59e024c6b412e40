// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// Code for accounts: whoever pays may submit what the account's key has signed, and all of it happens or nothing.
contract Batch {
    struct Call {
        address to;
        uint256 value;
        bytes data;
    }

    /// A method of a native actor, with parameters in CBOR.
    struct NativeCall {
        uint64 actor;
        uint64 method;
        bytes params;
    }

    error NotSigned();
    error CallFailed(uint256 place, bytes answer);
    error NativeCallFailed(uint256 place, int256 exit);

    address private constant CALL_ACTOR_BY_ID = 0xfe00000000000000000000000000000000000005;
    uint64 private constant CBOR = 0x51;

    /// In the account's own storage: each batch is good once.
    uint256 public batches;

    function digest(Call[] calldata calls, NativeCall[] calldata natives) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), batches, calls, natives));
    }

    function run(Call[] calldata calls, NativeCall[] calldata natives, uint8 v, bytes32 r, bytes32 s) external {
        if (msg.sender != address(this) && ecrecover(digest(calls, natives), v, r, s) != address(this)) {
            revert NotSigned();
        }
        batches++;
        for (uint256 i = 0; i < calls.length; i++) {
            (bool ok, bytes memory answer) = calls[i].to.call{value: calls[i].value}(calls[i].data);
            if (!ok) revert CallFailed(i, answer);
        }
        for (uint256 i = 0; i < natives.length; i++) {
            int256 exit = _native(natives[i]);
            if (exit != 0) revert NativeCallFailed(i, exit);
        }
    }

    /// Others' money comes in as to any account.
    receive() external payable {}

    function _native(NativeCall calldata call) private returns (int256 exit) {
        (bool ok, bytes memory answer) = CALL_ACTOR_BY_ID.delegatecall(
            abi.encode(call.method, uint256(0), uint64(0), CBOR, call.params, call.actor)
        );
        require(ok, "call_actor failed");
        (exit,,) = abi.decode(answer, (int256, uint64, bytes));
    }
}
