pragma solidity ^0.8.20;
interface Vm {
    struct EthGetLogs { address emitter; bytes32[] topics; bytes data; bytes32 blockHash; uint64 blockNumber; bytes32 transactionHash; uint64 transactionIndex; uint256 logIndex; bool removed; }
    function createFork(string calldata) external returns (uint256);
    function createFork(string calldata, uint256) external returns (uint256);
    function createFork(string calldata, bytes32) external returns (uint256);
    function createSelectFork(string calldata) external returns (uint256);
    function createSelectFork(string calldata, uint256) external returns (uint256);
    function createSelectFork(string calldata, bytes32) external returns (uint256);
    function selectFork(uint256) external;
    function activeFork() external view returns (uint256);
    function rollFork(uint256) external;
    function rollFork(bytes32) external;
    function rollFork(uint256, uint256) external;
    function rollFork(uint256, bytes32) external;
    function transact(bytes32) external;
    function transact(uint256, bytes32) external;
    function makePersistent(address) external;
    function revokePersistent(address) external;
    function isPersistent(address) external view returns (bool);
    function rpc(string calldata, string calldata) external returns (bytes memory);
    function rpc(string calldata, string calldata, string calldata) external returns (bytes memory);
    function rpcJson(string calldata, string calldata) external returns (string memory);
    function eth_getLogs(uint256, uint256, address, bytes32[] memory) external returns (EthGetLogs[] memory);
    function getRawBlockHeader(uint256) external view returns (bytes memory);
    function allowCheatcodes(address) external;
    function deal(address, uint256) external;
    function store(address, bytes32, bytes32) external;
    function load(address, bytes32) external view returns (bytes32);
    function roll(uint256) external;
    function warp(uint256) external;
    function snapshotState() external returns (uint256);
    function revertToState(uint256) external returns (bool);
    function prank(address) external;
    function etch(address, bytes calldata) external;
    function getNonce(address) external view returns (uint64);
    function toString(uint256) external pure returns (string memory);
    function envBytes32(string calldata) external view returns (bytes32);
    function envUint(string calldata) external view returns (uint256);
    function envAddress(string calldata) external view returns (address);
    function expectRevert(bytes calldata) external;
    function rpcUrl(string calldata) external view returns (string memory);
}
Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
library console {
    function log(string memory a) internal view { bytes memory d = abi.encodeWithSignature("log(string)", a); _s(d); }
    function log(string memory a, uint256 b) internal view { bytes memory d = abi.encodeWithSignature("log(string,uint256)", a, b); _s(d); }
    function _s(bytes memory d) private view { address c = 0x000000000000000000636F6e736F6c652e6c6f67; assembly { pop(staticcall(gas(), c, add(d, 32), mload(d), 0, 0)) } }
}
