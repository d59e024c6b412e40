// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

contract Child {
    address public immutable parent = msg.sender;
    uint256 public number;

    constructor(uint256 first) payable {
        require(first != 13, "unlucky");
        number = first;
    }

    function end(address payable heir) external {
        selfdestruct(heir);
    }
}

contract Maker {
    Child[] public children;
    event Made(address child, bool again);

    function make(uint256 first) external payable {
        children.push(new Child{value: msg.value}(first));
        emit Made(address(children[children.length - 1]), false);
    }

    function makeAt(uint256 first, bytes32 salt) external payable {
        try new Child{salt: salt, value: msg.value}(first) returns (Child child) {
            children.push(child);
            emit Made(address(child), true);
        } catch Error(string memory reason) {
            emit Made(address(bytes20(bytes(reason))), false);
        } catch (bytes memory) {
            emit Made(address(0), false);
        }
    }

    function endAll() external {
        for (uint256 i = 0; i < children.length; i++) children[i].end(payable(address(this)));
        delete children;
    }

    function sizes() external view returns (uint256[] memory found, bytes32[] memory hashes) {
        found = new uint256[](children.length);
        hashes = new bytes32[](children.length);
        for (uint256 i = 0; i < children.length; i++) {
            found[i] = address(children[i]).code.length;
            hashes[i] = address(children[i]).codehash;
        }
    }

    receive() external payable {}
}

library Sums {
    struct List {
        uint256[] items;
        mapping(uint256 => uint256) counts;
    }

    function push(List storage list, uint256 item) public returns (uint256 total) {
        list.items.push(item);
        list.counts[item] += 1;
        for (uint256 i = 0; i < list.items.length; i++) total += list.items[i];
    }
}

contract UsesLibrary {
    using Sums for Sums.List;

    Sums.List private list;

    function add(uint256 item) external returns (uint256, uint256) {
        return (list.push(item), list.counts[item]);
    }
}

contract Deep {
    uint256 public depth;
    Deep public other;

    function meet(Deep friend) external {
        other = friend;
    }

    function dive(uint256 levels) external returns (uint256 reached) {
        depth += 1;
        if (levels == 0) return depth;
        (bool ok, bytes memory answer) = address(levels % 2 == 0 ? this : other).call(abi.encodeCall(this.dive, (levels - 1)));
        reached = ok ? abi.decode(answer, (uint256)) : type(uint256).max;
    }

    function look(uint256 levels) external view returns (uint256) {
        return levels == 0 ? depth : this.look(levels - 1) + 1;
    }

    function borrow(address code, bytes calldata data) external payable returns (bool ok, bytes memory answer) {
        (ok, answer) = code.delegatecall(data);
    }
}
