// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

contract Loops {
    uint256 public sum;

    function count(uint256 rounds) external returns (uint256 total) {
        for (uint256 i = 0; i < rounds; i++) total += i * i;
        sum = total;
    }

    function sort(uint256 size, uint256 seed) external pure returns (bytes32) {
        uint256[] memory items = new uint256[](size);
        for (uint256 i = 0; i < size; i++) items[i] = uint256(keccak256(abi.encode(seed, i)));
        for (uint256 i = 1; i < size; i++) {
            uint256 item = items[i];
            uint256 j = i;
            for (; j > 0 && items[j - 1] > item; j--) items[j] = items[j - 1];
            items[j] = item;
        }
        return keccak256(abi.encode(items));
    }
}

contract Shelves {
    struct Book {
        uint64 year;
        bool lent;
        string title;
        int128[] marks;
    }

    mapping(bytes32 => Book) public books;
    uint8[70] private packed;
    bytes public long;

    event Lent(bytes32 indexed id, string indexed title, string text, int128[] marks);
    error Taken(bytes32 id, uint64 year);

    function put(bytes32 id, uint64 year, string calldata title, int128[] calldata marks) external {
        books[id] = Book(year, false, title, marks);
        for (uint256 i = 0; i < marks.length; i++) packed[i % 70] += uint8(uint128(marks[i]));
    }

    function lend(bytes32 id) external {
        Book storage book = books[id];
        if (book.lent) revert Taken(id, book.year);
        book.lent = true;
        emit Lent(id, book.title, book.title, book.marks);
    }

    function remove(bytes32 id) external {
        delete books[id];
        delete packed;
    }

    function grow(uint256 size) external {
        long = new bytes(size);
        if (size > 0) long[size - 1] = 0x01;
    }
}

contract Assembly {
    function words(uint256 a, uint256 b) external pure returns (uint256 made) {
        assembly {
            made := xor(smod(a, not(b)), sdiv(b, sub(0, 3)))
            made := add(made, signextend(5, mulmod(a, b, 1000003)))
            made := or(byte(3, made), shl(8, sar(2, addmod(made, a, not(0)))))
        }
    }

    function bytesOf(bytes calldata data) external returns (bytes32 digest, uint256 size) {
        assembly {
            let free := mload(0x40)
            calldatacopy(free, data.offset, data.length)
            mcopy(add(free, 7), free, data.length)
            mstore8(free, 0xff)
            tstore(data.length, mload(free))
            sstore(tload(data.length), data.length)
            codecopy(add(free, data.length), 3, 64)
            digest := keccak256(free, add(data.length, 64))
            size := returndatasize()
            log3(free, data.length, digest, caller(), number())
        }
    }

    function around(address other) external payable returns (bool ok, uint256 size, bytes32 hash) {
        assembly {
            let free := mload(0x40)
            ok := call(gas(), other, callvalue(), free, 4, 0, 0)
            returndatacopy(free, 0, returndatasize())
            size := add(extcodesize(other), balance(other))
            hash := extcodehash(other)
            extcodecopy(other, add(free, 64), 0, 32)
        }
    }

    fallback() external payable {
        assembly {
            mstore(0, calldatasize())
            mstore(32, callvalue())
            switch and(calldatasize(), 1)
            case 0 { return(0, 64) }
            default { revert(31, 33) }
        }
    }
}

contract Pool {
    uint112 private first;
    uint112 private second;
    uint32 private at;
    uint256 public product;
    IToken public immutable one;
    IToken public immutable two;

    event Swapped(address indexed by, uint256 paid, uint256 got, address indexed to);

    constructor(IToken a, IToken b) {
        (one, two) = (a, b);
    }

    function fill(uint256 a, uint256 b) external {
        one.transferFrom(msg.sender, address(this), a);
        two.transferFrom(msg.sender, address(this), b);
        _keep(first + a, second + b);
    }

    function swap(uint256 paid, uint256 atLeast) external returns (uint256 got) {
        uint256 charged = paid * 997;
        got = (charged * second) / (uint256(first) * 1000 + charged);
        require(got >= atLeast, "too little");
        one.transferFrom(msg.sender, address(this), paid);
        two.transfer(msg.sender, got);
        _keep(first + paid, second - got);
        emit Swapped(msg.sender, paid, got, msg.sender);
    }

    function _keep(uint256 a, uint256 b) private {
        (first, second, at) = (uint112(a), uint112(b), uint32(block.timestamp));
        product = a * b;
    }
}

interface IToken {
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}
