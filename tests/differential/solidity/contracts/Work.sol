// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// What engines are timed with (bench/bench_engines.py): each function is a kind of work, `n` is how much of it.
contract Work {
    mapping(uint256 => uint256) private stored;

    function tight(uint256 n) external pure returns (uint256 x) {
        assembly {
            x := 1
            for { let i := 0 } lt(i, n) { i := add(i, 1) } { x := xor(add(mul(x, 31), i), shr(3, x)) }
        }
    }

    function summed(uint256 n) external pure returns (uint256 sum) {
        for (uint256 i = 0; i < n; i++) sum += ((i * i) % 7) + (i >> 1);
    }

    function hashed(uint256 n) external pure returns (bytes32 hash) {
        for (uint256 i = 0; i < n; i++) hash = keccak256(abi.encode(hash, i));
    }

    function sieve(uint256 n) external pure returns (uint256 primes) {
        bool[] memory composite = new bool[](n + 1);
        for (uint256 i = 2; i <= n; i++) {
            if (composite[i]) continue;
            primes++;
            for (uint256 j = i * i; j <= n; j += i) composite[j] = true;
        }
    }

    function powers(uint256 n) external pure returns (uint256 result) {
        uint256 modulus = (1 << 255) - 19;
        for (uint256 i = 1; i <= n; i++) {
            uint256 base = i + 2;
            result = 1;
            for (uint256 exponent = modulus - 2; exponent > 0; exponent >>= 1) {
                if (exponent & 1 == 1) result = mulmod(result, base, modulus);
                base = mulmod(base, base, modulus);
            }
        }
    }

    /// A picture of n times n rays, cast at a ball over a chequered floor; fixed point of 16 bits.
    function rays(uint256 n) external pure returns (uint256 picture) {
        for (uint256 y = 0; y < n; y++) {
            for (uint256 x = 0; x < n; x++) {
                int256 dx = int256((x << 17) / n) - 65536;
                int256 dy = int256((y << 17) / n) - 65536;
                uint256 shaded = shade(dx, dy);
                unchecked { picture = picture * 31 + shaded; }
            }
        }
    }

    function shade(int256 dx, int256 dy) private pure returns (uint256) {
        int256 a = (dx * dx + dy * dy) / 65536 + 65536;
        int256 b = 2 * 3 * 65536;
        int256 c = 8 * 65536 + 32768;
        int256 inside = (b * b) / 65536 - (4 * a * c) / 65536;
        if (inside < 0) {
            if (dy >= 0) return 7;
            int256 far = (-65536 * 65536) / dy;
            return uint256(((far * dx) / 65536 + far) / 65536) & 1;
        }
        int256 near = ((b - int256(root(uint256(inside) << 16))) * 65536) / (2 * a);
        int256 light = near - dx / 2 - dy / 3;
        return light < 0 ? 1 : uint256(light >> 12) + 2;
    }

    function root(uint256 x) private pure returns (uint256 y) {
        uint256 z = (x + 1) / 2;
        y = x;
        while (z < y) {
            y = z;
            z = (x / z + z) / 2;
        }
    }

    function sorted(uint256 n) external pure returns (uint256 middle) {
        uint256[] memory list = new uint256[](n);
        uint256 seed = 1;
        for (uint256 i = 0; i < n; i++) {
            unchecked { seed = seed * 6364136223846793005 + 1442695040888963407; }
            list[i] = seed >> 200;
        }
        sort(list, 0, int256(n) - 1);
        return list[n / 2];
    }

    function sort(uint256[] memory list, int256 low, int256 high) private pure {
        if (low >= high) return;
        uint256 pivot = list[uint256((low + high) / 2)];
        int256 i = low;
        int256 j = high;
        while (i <= j) {
            while (list[uint256(i)] < pivot) i++;
            while (list[uint256(j)] > pivot) j--;
            if (i <= j) {
                (list[uint256(i)], list[uint256(j)]) = (list[uint256(j)], list[uint256(i)]);
                i++;
                j--;
            }
        }
        sort(list, low, j);
        sort(list, i, high);
    }

    function slots(uint256 n) external returns (uint256 sum) {
        for (uint256 i = 0; i < n; i++) stored[i] = i + 1;
        for (uint256 i = 0; i < n; i++) sum += stored[i];
    }

    function calls(Work other, uint256 n) external view returns (uint256 sum) {
        for (uint256 i = 0; i < n; i++) sum = other.next(sum);
    }

    function next(uint256 x) external pure returns (uint256) {
        return x + 1;
    }

    function deep(uint256 n) external view returns (uint256) {
        return n == 0 ? 0 : 1 + this.deep(n - 1);
    }
}

contract WorkToken is ERC20 {
    constructor() ERC20("Work", "W") {
        _mint(msg.sender, 1e30);
    }

    function batch(uint256 n) external {
        for (uint256 i = 0; i < n; i++) _transfer(msg.sender, address(uint160(1e6 + (i % 256))), 1);
    }
}
