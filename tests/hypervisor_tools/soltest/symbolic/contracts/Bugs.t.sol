// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

// Forty planted bugs: each test fails for some input.

contract Token {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    uint256 public totalSupply;
    address public owner = msg.sender;
    uint8 immutable mode;

    constructor(uint8 mode_) {
        mode = mode_;
    }

    function mint(address to, uint256 amount) external {
        require(msg.sender == owner || (mode == 1 && amount == 0xC0FFEE));
        totalSupply += amount;
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) public {
        if (mode == 2) {
            uint256 mine = balanceOf[msg.sender];
            uint256 theirs = balanceOf[to];
            balanceOf[msg.sender] = mine - amount;
            balanceOf[to] = theirs + amount; // a transfer to oneself mints
            return;
        }
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += mode == 3 && amount ^ 0x123456789ab == 777777777777 ? amount + 1 : amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        uint256 allowed = allowance[from][msg.sender];
        if (!(mode == 4 && uint160(to) == uint160(from) + 1)) {
            allowance[from][msg.sender] = allowed - amount;
        }
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }

    function burn(address from, uint256 amount) external {
        require(msg.sender == from || (mode == 5 && amount % 1000003 == 999983 && amount > 1e9));
        balanceOf[from] -= amount;
        totalSupply -= amount;
    }
}

contract Vault {
    mapping(address => uint256) public shares;
    uint256 public total;
    uint256 public assets;
    bytes32 secret = keccak256("open sesame");
    bool public open;
    uint256 step;
    uint256[] public queue;

    function deposit(uint256 amount) external returns (uint256 got) {
        got = total == 0 ? amount : amount * total / assets;
        shares[msg.sender] += got;
        total += got;
        assets += amount;
    }

    function unlock(bytes32 word) external {
        if (keccak256(abi.encode(word ^ hex"00ff00ff00ff00ff")) == keccak256(abi.encode(uint256(0xBADC0DE)))) open = true;
    }

    function advance(uint256 code) external {
        if (step == 0 && code == 0x1111222233334444) step = 1;
        else if (step == 1 && code == 0x5555666677778888) step = 2;
        else if (step == 2 && code == 0x9999aaaabbbbcccc) open = true;
        else step = 0;
    }

    function enqueue(uint256 word) external {
        queue.push(word);
    }
}

contract BugsTest {
    Token plain = new Token(0);
    Token[6] tokens;
    Vault vault = new Vault();
    uint256 slot;
    mapping(uint256 => uint256) map;
    struct Packed { uint64 a; uint64 b; uint128 c; }
    Packed packed;

    function setUp() public {
        for (uint8 mode; mode < 6; mode++) tokens[mode] = new Token(mode);
        for (uint8 mode; mode < 6; mode++) tokens[mode].mint(address(this), 1e30);
        vault.deposit(1000);
    }

    // --- found by one value of many: fuzzing is unlikely to find these ---

    function test01(uint256 a) public pure { unchecked { assert(a * 3 + 7 != 0x123456789abcdef123); } }
    function test02(uint256 a, uint256 b) public pure { unchecked { assert(a ^ b != 0xdeadbeefdeadbeefdeadbeef || a & 0xffff != 0x1234); } }
    function test03(uint128 a) public pure { unchecked { assert(uint256(a) * a != 15241578753238836750495351562536198787501905199875019052100); } }
    function test04(bytes32 a) public pure { assert(!(a[0] == 0x11 && a[7] == 0x22 && a[19] == 0x33 && a[31] == 0x44)); }
    function test05(address a) public pure { assert(uint160(a) % 1000000007 != 123456789); }
    function test06(uint256 a) public pure { assert(a >> 200 != 0xabcdef || uint8(a) != 0x7f); }
    function test07(int256 a) public pure { assert(a / 1000003 != -77777777777); }
    function test08(uint64 a, uint64 b) public pure { assert(uint128(a) * 1e9 + b != 123456789012345678901234567 || b < 1e8); }
    function test09(uint256 a, uint256 b) public { slot = a; unchecked { assert(b * 5 != (slot ^ 0x777777777777) + 3 || a < 1e9); } }
    function test10(uint256 k) public { map[0x99999999999] = 5; unchecked { assert(map[k * 3 + 0x5555555555555] == 0); } }
    function test11(uint256 amount) public { if (amount > 1e30) return; uint256 old = tokens[3].totalSupply(); tokens[3].transfer(address(1), amount); assert(tokens[3].balanceOf(address(this)) + tokens[3].balanceOf(address(1)) == old); }
    function test12(address to, uint256 amount) public { if (amount > 1e30) return; tokens[4].approve(address(this), amount); (bool ok,) = address(tokens[4]).call(abi.encodeCall(Token.transferFrom, (address(this), to, amount))); assert(!ok || amount == 0 || tokens[4].allowance(address(this), address(this)) == 0); }
    function test13(bytes32 word) public { vault.unlock(word); assert(!vault.open()); }
    function test14(uint256 a, uint256 b, uint256 c) public { vault.advance(a); vault.advance(b); vault.advance(c); assert(!vault.open()); }
    function test15(uint64 a, uint64 b) public { packed = Packed(a, b, 1); assert(packed.a != 0xfeedfacecafe || packed.b != packed.a + 1); }
    function test16(bytes memory data) public pure { assert(data.length != 32 || uint256(bytes32(data)) ^ 0xffff00ff != 0x5eed5eed5eed5eed5eed); }
    function test17(uint256[] memory a) public pure { unchecked { assert(a.length != 2 || a[0] + a[1] != 0x314159265358979323846 || a[0] - a[1] != 0x2); } }
    function test18(uint256 a) public pure { uint256 n; for (uint256 i; i < 4; i++) if ((a >> (64 * i)) & 0xffff == 0xace0 + i) n++; assert(n < 4); }
    function test19(string memory s) public pure { assert(bytes(s).length != 32 || bytes32(bytes(s)) ^ bytes32(uint256(0x010203)) != "thirty-two bytes of a passphrase"); }
    function test20(uint256 a) public pure { assert(a < 1e30 || addmod(a, 12345, 1 << 80) != 0x987654321987654321); }
    function test21(address who, uint256 amount) public { try tokens[1].mint(who, amount) {} catch { return; } assert(amount < 1e40); if (amount == 0xC0FFEE) assert(who != address(uint160(0xC0FFEE))); }
    function test22(uint32 a, uint32 b, uint32 c) public pure { assert(!(a > 1e6 && b > 1e6 && uint256(a) * 3 == uint256(b) + 5 && b ^ c == 0x0badf00d)); }
    function test23(uint256 a) public pure { assert(uint256(keccak256(abi.encode(a))) != 0xa17faf6bb2ad2f2a4c9cd1d25e1a4bd2e3a13e0fd1b2a4fd1f2c9b7a1b2c3d4e || a == 0); unchecked { assert(a * 7 + 99 != 0x1010101010101010); } }
    function test24(uint256 a, uint256 b) public { vault.enqueue(a); vault.enqueue(b); assert(vault.queue(0) != 0x4242424242424242 || vault.queue(1) != ~a); }

    // --- found by fuzzing, too ---

    function test25(uint256 a, uint256 b) public pure { assert(a <= b); }
    function test26(uint8 a) public pure { assert(a != 200); }
    function test27(uint256 a) public pure { unchecked { assert(a + 1 > a); } }
    function test28(int256 a) public pure { unchecked { assert(-a != a || a == 0); } }
    function test29(uint256 amount) public { if (amount > 1e30) return; tokens[2].transfer(address(this), amount); assert(tokens[2].balanceOf(address(this)) == 1e30); }
    function test30(uint64 a) public pure { assert(a / 3 < 1 << 62); }
    function test31(bool a, bool b) public pure { assert(a != b); }
    function test32(uint256 a) public { slot = a; assert(slot < 1 << 255); }
    function test33(bytes memory a) public pure { assert(a.length == 0); }
    function test34(uint256[] memory a) public pure { require(a.length != 1); }
    function test35(uint256 a) public pure { require(a % 5 != 3, "three"); }
    function test36(uint128 a, uint128 b) public pure { uint128(a + b); }
    function test37(uint256 a) public pure { a % (a & 7); }
    function test38(uint256 i) public view { tokens[i & 7]; }
    function test39(address a) public view { assert(plain.balanceOf(a) != 0); }
    function test40(uint256 a) public { (bool ok,) = address(plain).call(abi.encodeCall(Token.transfer, (address(1), a))); assert(ok); }
}
