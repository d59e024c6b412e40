// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

// Each invariant is broken by some sequence of calls of the contract before its test.

contract Token {
    uint256 public spent; uint256 public approved; uint256 allowance = 0;
    function approve(uint64 amount) public { approved += amount > allowance ? amount - allowance : 0; allowance = amount; }
    function spend(uint64 amount) public {
        require(amount <= allowance && amount > 0);
        if (amount != allowance) allowance -= amount; // all of it can be spent again
        spent += amount;
    }
}
/// An allowance that is spent at once stays.
contract Allowance {
    Token token;
    function setUp() public { token = new Token(); }
    function invariant_() public view { assert(token.spent() <= token.approved()); }
}

contract Vault {
    uint256 assets; uint256 shares; bool public lost;
    function deposit(uint96 amount) public {
        require(amount > 0);
        uint256 made = shares == 0 ? amount : uint256(amount) * shares / assets;
        if (made == 0) lost = true; // the depositor has paid for nothing
        assets += amount;
        shares += made;
    }
    function donate(uint96 amount) public { require(shares > 0); assets += amount; }
}
/// The first depositor inflates the price of a share.
contract Inflation {
    Vault vault;
    function setUp() public { vault = new Vault(); }
    function invariant_() public view { assert(!vault.lost()); }
}

contract Guarded {
    bool locked; uint8 public depth;
    function enter() public { require(!locked); locked = true; depth++; }
    function leave() public { require(locked); locked = false; depth--; }
    function cancel(uint256 reason) public { require(locked); if (reason > 1 << 128) locked = false; }
}
/// A way out that opens the lock and does not count.
contract Reentrancy {
    Guarded guarded;
    function setUp() public { guarded = new Guarded(); }
    function invariant_() public view { assert(guarded.depth() < 2); }
}

contract Owned {
    address public owner; bool initialized; bool paused;
    function initialize() public { require(!initialized); initialized = true; owner = address(1); }
    function pause() public { require(initialized); paused = true; }
    function upgrade(uint8 version) public { require(paused && version == 2); initialized = false; }
    function take() public { require(paused && !initialized); owner = address(2); }
}
/// Four calls in their order take the contract over.
contract AccessOrder {
    Owned owned;
    function setUp() public { owned = new Owned(); }
    function invariant_() public view { assert(owned.owner() != address(2)); }
}

contract Queue {
    uint256 public head; uint256 public tail;
    function push() public { tail++; }
    function pop(uint8 count) public { require(head + count <= tail + 1 && count > 2); head += count; }
}
/// One more can be taken than is there.
contract QueueEnd {
    Queue queue;
    function setUp() public { queue = new Queue(); }
    function invariant_() public view { assert(queue.head() <= queue.tail()); }
}

contract Tickets {
    mapping(uint256 => bool) issued; mapping(bytes32 => bool) used; mapping(uint256 => uint256) paid;
    uint256 count; bool public twice;
    function issue() public returns (uint256 id) { id = uint256(keccak256(abi.encode(++count))); issued[id] = true; }
    function redeem(uint256 id, address to) public {
        bytes32 key = keccak256(abi.encode(id, to)); // the receiver is not signed for
        require(issued[id] && !used[key]);
        used[key] = true;
        if (++paid[id] == 2) twice = true;
    }
}
/// A signed ticket is redeemed again, for another receiver.
contract SignatureReplay {
    Tickets tickets;
    function setUp() public { tickets = new Tickets(); }
    function invariant_() public view { assert(!tickets.twice()); }
}

contract Pair {
    uint256 public x = 1000 ether; uint256 public y = 1000 ether; uint256 public k = 1000 ether * 1000 ether;
    function swap(uint96 amount) public {
        require(amount > 0);
        uint256 out = y * amount / (x + amount) + 1; // rounded up
        require(out < y);
        x += amount;
        y -= out;
    }
    function back(uint96 amount) public {
        require(amount > 0);
        uint256 out = x * amount / (y + amount);
        y += amount;
        x -= out;
    }
}
/// The product of a pair's reserves becomes less.
contract PairProduct {
    Pair pair;
    function setUp() public { pair = new Pair(); }
    function invariant_() public view { assert(pair.x() * pair.y() >= pair.k()); }
}

contract Auction {
    uint256 public highest; uint256 public held; uint256 public owed;
    function bid(uint168 amount) public {
        require(amount >= highest && amount > 100); // a bid of the same amount
        if (amount > highest) { held = amount; owed = amount; } else { owed += amount; }
        highest = amount;
    }
}
/// Two bids of one amount.
contract EqualBids {
    Auction auction;
    function setUp() public { auction = new Auction(); }
    function invariant_() public view { assert(auction.owed() <= auction.held()); }
}

contract Stages {
    uint256 public stage;
    function first(uint256 x) public { if (stage == 0 && x > 10) stage = 1; else stage = 0; }
    function second(uint256 x) public { if (stage == 1 && x % 2 == 0) stage = 2; else stage = 0; }
    function third(int256 x) public { if (stage == 2 && x < 0) stage = 3; else stage = 0; }
    function reset() public { stage = 0; }
}
/// Three steps without one that is wrong between them.
contract StateMachine {
    Stages stages;
    function setUp() public { stages = new Stages(); }
    function invariant_() public view { assert(stages.stage() < 3); }
}

contract Meter {
    uint16 public total; uint256 public real;
    function add(uint16 amount) public { real += amount; unchecked { total += amount; } }
    function clear(uint256 key) public { if (key % 16 == 3) { total = 0; real = 0; } }
}
/// A sum of small numbers wraps around.
contract UncheckedSum {
    Meter meter;
    function setUp() public { meter = new Meter(); }
    function invariant_() public view { assert(meter.total() == meter.real()); }
}

contract Commitments {
    event Committed(uint256 indexed number, bytes32 secret);
    bytes32 secret; uint256 count; bool public open;
    function commit() public { secret = keccak256(abi.encode(address(this), ++count)); emit Committed(count, secret); }
    function reveal(bytes32 given) public { require(secret != 0 && given == secret); open = true; }
}
/// What an event says is the key.
contract EventData {
    Commitments commitments;
    function setUp() public { commitments = new Commitments(); }
    function invariant_() public view { assert(!commitments.open()); }
}
