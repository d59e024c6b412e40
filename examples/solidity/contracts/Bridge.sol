// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Cbor} from "./Cbor.sol";
import {CounterActor} from "./CounterActor.sol";
import {Native} from "./Native.sol";

/// A contract that uses a native actor, the counter of examples/counter, named by its actor id.
contract Bridge {
    event Deposited(uint64 indexed actor, uint256 value, uint256 total);
    event Caught(uint64 indexed actor, int256 exit, bytes answer);
    event Passed(uint64 indexed actor, address indexed target, int64 exit, bytes answer);

    /// The native actor aborted, and this contract does not want to go on.
    error NativeCallFailed(uint64 method, int256 exit);

    /// The exit code of the last abort that `tryFail` caught.
    int256 public lastExit;

    /// Solidity calls native with value; returns the sum of all deposits there.
    function deposit(uint64 actor) external payable returns (uint256 total) {
        (total,) = Cbor.decodeTokens(mustCall(actor, CounterActor.DEPOSIT, msg.value, ""), 0);
        emit Deposited(actor, msg.value, total);
    }

    function increment(uint64 actor, uint64 by) external returns (uint64 value) {
        (value,) = Cbor.decodeUnsigned(mustCall(actor, CounterActor.INCREMENT, 0, Cbor.encodeUnsigned(by)), 0);
    }

    function count(uint64 actor) public returns (uint64 value) {
        (value,) = Cbor.decodeUnsigned(mustCall(actor, CounterActor.GET, 0, ""), 0);
    }

    /// Two borders deep: this contract calls the native actor, which calls the contract `target`.
    function callThrough(uint64 actor, address target, bytes calldata data, uint256 value)
        external
        payable
        returns (int64 exit, bytes memory answer)
    {
        bytes memory params = bytes.concat(
            Cbor.encodeArray(3),
            Cbor.encodeBytes(abi.encodePacked(target)),
            Cbor.encodeBytes(data),
            Cbor.encodeTokens(value)
        );
        bytes memory outcome = mustCall(actor, CounterActor.CALL_CONTRACT, msg.value, params);
        (, uint256 position) = Cbor.decodeArray(outcome, 0);
        (exit, position) = Cbor.decodeSigned(outcome, position);
        (answer,) = Cbor.decodeBytes(outcome, position);
        emit Passed(actor, target, exit, answer);
    }

    /// The native actor writes its state and aborts; this contract catches that and goes on. What the actor wrote is
    /// gone: its count is the same before and after.
    function tryFail(uint64 actor, uint64 exitCode, string calldata message)
        external
        payable
        returns (int256 exit, bytes memory answer, uint64 before, uint64 afterwards)
    {
        before = count(actor);
        bytes memory params = bytes.concat(
            Cbor.encodeArray(3), Cbor.encodeUnsigned(exitCode), Cbor.encodeText(message), Cbor.encodeBytes("")
        );
        (exit, answer) = Native.call(actor, CounterActor.FAIL, msg.value, params);
        lastExit = exit;
        afterwards = count(actor);
        emit Caught(actor, exit, answer);
    }

    /// Any method of any actor, with CBOR parameters.
    function callNative(uint64 actor, uint64 method, bytes calldata params)
        external
        payable
        returns (int256 exit, bytes memory answer)
    {
        return Native.call(actor, method, msg.value, params);
    }

    function mustCall(uint64 actor, uint64 method, uint256 value, bytes memory params)
        private
        returns (bytes memory answer)
    {
        int256 exit;
        (exit, answer) = Native.call(actor, method, value, params);
        if (exit != 0) revert NativeCallFailed(method, exit);
    }
}
