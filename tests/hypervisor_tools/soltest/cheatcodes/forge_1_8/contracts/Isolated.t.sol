// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.37;

// Isolated calls since forge 1.8 (foundry#14493, #15385).

interface IsolatedVm {
    function fee(uint256 price) external;
    function txGasPrice(uint256 price) external;
    function blobhashes(bytes32[] calldata hashes) external;
    function snapshotState() external returns (uint256);
    function revertToState(uint256 snapshot) external returns (bool);
    function deployCode(string calldata artifact) external returns (address);
    function startMappingRecording() external;
    function getMappingLength(address target, bytes32 slot) external returns (uint256);
}

IsolatedVm constant vm = IsolatedVm(address(uint160(uint256(keccak256("hevm cheat code")))));

contract Prices {
    function seen() external returns (uint256, uint256, bytes32) {
        return (tx.gasprice, block.basefee, blobhash(0));
    }

    function set(uint256 price) external {
        vm.fee(price);
    }
}

contract IsolatedPricesTest {
    Prices private prices = new Prices();

    function setUp() public {
        vm.txGasPrice(7);
    }

    function _check(uint256 price, uint256 fee, bytes32 hash) private {
        (uint256 seenPrice, uint256 seenFee, bytes32 seenHash) = prices.seen();
        require(seenPrice == price && tx.gasprice == price, "price");
        require(seenFee == fee && block.basefee == fee, "fee");
        require(seenHash == hash && blobhash(0) == hash, "hash");
    }

    function testSetPricesAreVisibleToTransactions() public {
        bytes32[] memory hashes = new bytes32[](1);
        hashes[0] = bytes32(uint256(5));
        _check(7, 0, 0);
        vm.fee(9);
        vm.blobhashes(hashes);
        _check(7, 9, hashes[0]);
        prices.set(11);
        _check(7, 11, hashes[0]);
    }

    function testRevertedStateHasEarlierPrices() public {
        uint256 snapshot = vm.snapshotState();
        vm.fee(9);
        vm.txGasPrice(1);
        require(vm.revertToState(snapshot), "reverted");
        _check(7, 0, 0);
    }
}

contract RevertedPricesTest {
    function testRevertedStateHasNoPrices() public {
        bytes32[] memory hashes = new bytes32[](1);
        hashes[0] = bytes32(uint256(5));
        uint256 snapshot = vm.snapshotState();
        vm.txGasPrice(1);
        vm.blobhashes(hashes);
        require(tx.gasprice == 1 && blobhash(0) == hashes[0], "set");
        require(vm.revertToState(snapshot), "reverted");
        require(tx.gasprice == 0 && blobhash(0) == 0, "prices");
    }
}

contract Mortal {
    function end() external {
        selfdestruct(payable(address(0)));
    }
}

contract IsolatedDestructionTest {
    Mortal private early;
    Mortal private ended;

    function setUp() public {
        early = new Mortal();
        ended = new Mortal();
        ended.end();
    }

    function testContractOfSetUpIsRemovedThere() public view {
        require(address(ended).code.length == 0, "removed");
    }

    function testContractOfSetUpIsNotNewInTests() public {
        early.end();
        require(address(early).code.length != 0, "removed");
    }

    function testContractOfTheTestIsNewInItsCalls() public {
        Mortal made = new Mortal();
        made.end();
        require(address(made).code.length == 0, "removed");
    }
}

contract Named {
    uint256 public word = 1;
}

contract IsolatedNamedTest {
    function testDeployedByName() public {
        require(Named(vm.deployCode("Isolated.t.sol:Named")).word() == 1, "word");
    }
}

contract Ledger {
    mapping(address => uint256) private entries;

    function set() external {
        entries[msg.sender] = 7;
    }
}

// As in foundry's testdata (Mapping.t.sol), which runs with the defaults of forge 1.8.
contract IsolatedRecordingTest {
    function testKeysOfMappingsAreRecordedInTransactions() public {
        Ledger ledger = new Ledger();
        vm.startMappingRecording();
        ledger.set();
        require(vm.getMappingLength(address(ledger), 0) == 1, "length");
        require(vm.getMappingLength(address(this), 0) == 0, "own length");
    }
}

contract Existing {
    function five() external pure returns (uint256) {
        return 5;
    }
}

contract Counting {
    uint256 public count;

    function set(uint256 to) external {
        count = to;
    }
}

// The code of the contract that exists is loaded after calls and a static call, so the whole begins again.
contract Colliding {
    Counting private counting = new Counting();

    constructor() {
        new Existing{salt: 0}();
    }

    function other() external {
        counting.set(counting.count() + 1);
    }

    function collide() external {
        counting.set(1);
        counting.set(2);
        counting.count();
        bytes memory code = type(Existing).creationCode;
        address made;
        assembly {
            made := create2(0, add(code, 32), mload(code), 0)
        }
        require(made == address(0));
    }
}

contract IsolatedRestartTest {
    Colliding private colliding;

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(colliding);
    }

    function setUp() external {
        colliding = new Colliding();
    }

    function invariant_the_contract_stays() external view {
        require(address(colliding).code.length > 0);
    }
}
