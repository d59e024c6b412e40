// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the schemas of the built-in actors: `make bindings`.
pragma solidity ^0.8.8;

import {FilecoinErrors, FilAddress} from "./FilecoinTypes.sol";

/// f07: an FRC-46 token that represents verified data; a byte of data is 10^18 units.
interface IDatacap is FilecoinErrors {
    /// Method 116935346. `amount`: attoFIL. `balance`: attoFIL. `supply`: attoFIL. `recipientData`: CBOR or empty.
    function mint(
        FilAddress calldata to,
        int256 amount,
        FilAddress[] calldata operators
    ) external returns (int256 balance, int256 supply, bytes memory recipientData);

    /// Method 2624896501. `amount`: attoFIL. `balance`: attoFIL.
    function destroy(FilAddress calldata owner, int256 amount) external returns (int256 balance);

    /// Method 48890204.
    function name() external view returns (string memory);

    /// Method 2061153854.
    function symbol() external view returns (string memory);

    /// Method 3936767397.
    function granularity() external view returns (int128);

    /// Method 114981429. Returns attoFIL.
    function totalSupply() external view returns (int256);

    /// Method 3261979605. Returns attoFIL.
    function balance(FilAddress calldata addr) external view returns (int256);

    /// Method 4205072950. Returns attoFIL.
    function allowance(FilAddress calldata owner, FilAddress calldata operator) external view returns (int256);

    /// Method 80475954. `amount`: attoFIL. `operatorData`: CBOR or empty. `fromBalance`: attoFIL. `toBalance`: attoFIL. `recipientData`: CBOR or empty.
    function transfer(
        FilAddress calldata to,
        int256 amount,
        bytes calldata operatorData
    ) external returns (int256 fromBalance, int256 toBalance, bytes memory recipientData);

    /// Method 3621052141. `amount`: attoFIL. `operatorData`: CBOR or empty. `fromBalance`: attoFIL. `toBalance`: attoFIL. `allowance`: attoFIL. `recipientData`: CBOR or empty.
    function transferFrom(
        FilAddress calldata from,
        FilAddress calldata to,
        int256 amount,
        bytes calldata operatorData
    ) external returns (int256 fromBalance, int256 toBalance, int256 allowance, bytes memory recipientData);

    /// Method 1777121560. `amount`: attoFIL. Returns attoFIL.
    function increaseAllowance(FilAddress calldata operator, int256 amount) external returns (int256);

    /// Method 1529376545. `amount`: attoFIL. Returns attoFIL.
    function decreaseAllowance(FilAddress calldata operator, int256 amount) external returns (int256);

    /// Method 2765635761. Returns attoFIL.
    function revokeAllowance(FilAddress calldata operator) external returns (int256);

    /// Method 1434719642. `amount`: attoFIL. `balance`: attoFIL.
    function burn(int256 amount) external returns (int256 balance);

    /// Method 2979674018. `amount`: attoFIL. `balance`: attoFIL. `allowance`: attoFIL.
    function burnFrom(FilAddress calldata owner, int256 amount) external returns (int256 balance, int256 allowance);
}
