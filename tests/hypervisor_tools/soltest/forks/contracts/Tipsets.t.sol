pragma solidity ^0.8.20;
import {Vm, vm, console} from "./Vm.sol";
import {Counter} from "./Counter.sol";

interface Filecoin {
    function filBalance(string calldata) external view returns (uint256);
    function mintFil(string calldata, uint256) external;
    function actorId(string calldata) external view returns (uint64);
    function filAddress(address) external pure returns (string memory);
    function readActorState(string calldata) external view returns (string memory);
    function callActorAs(uint64, uint64, uint64, uint64, bytes calldata, uint256) external returns (int256, uint64, bytes memory);
    function advanceEpochs(uint256) external;
    function getCode(string calldata) external view returns (bytes memory);
}
Filecoin constant fil = Filecoin(address(vm));

contract Kept { uint256 public x = 7; function setX(uint256 n) external { x = n; } }

/// Forks of two networks under Filecoin's rules: the first of seven epochs and more, the second of three.
contract TipsetForks {
    Counter constant C = Counter(0x5FbDB2315678afecb367f032d93F642f64180aa3);
    uint256 a; uint256 b; uint64 market = 5;
    function setUp() public { a = vm.createFork("first"); b = vm.createFork("second", vm.envUint("SECOND_EPOCH")); }

    function self() internal view returns (uint64) { return fil.actorId(fil.filAddress(address(this))); }
    function escrow() internal view returns (bytes32) { return keccak256(bytes(fil.readActorState("f05"))); }
    function deposit(uint256 amount) internal {
        bytes memory params = abi.encodePacked(hex"56040a", address(this));
        (int256 code,,) = fil.callActorAs(self(), market, 822473126, 0x51, params, amount);
        require(code == 0, "the market refuses");
    }

    /// Each fork has the native actors of its own network, and keeps what the test did to them.
    function test_native() public {
        uint256 own = fil.filBalance("f05");
        vm.selectFork(a);
        require(fil.filBalance("f02") == vm.envUint("FIRST_REWARD"), "the first's reward actor");
        bytes32 before = escrow();
        uint256 held = fil.filBalance("f05");
        deposit(3 ether);
        require(fil.filBalance("f05") == held + 3 ether && escrow() != before, "the first's market");
        bytes32 after_ = escrow();
        vm.selectFork(b);
        require(fil.filBalance("f02") == vm.envUint("SECOND_REWARD"), "the second's reward actor");
        require(fil.filBalance("f05") == own, "the second's market has the first's money");
        require(escrow() != after_, "the second's market has the first's state");
        deposit(1 ether);
        vm.selectFork(a);
        require(fil.filBalance("f05") == held + 3 ether && escrow() == after_, "what the first was left with is lost");
        vm.selectFork(b);
        require(fil.filBalance("f05") == own + 1 ether, "what the second was left with is lost");
    }
    function lose() external { vm.selectFork(b); deposit(1 ether); revert("x"); }
    /// A selection in a call that reverts is taken back, with what native actors did.
    function test_reverted() public {
        vm.selectFork(a); uint256 held = fil.filBalance("f05"); uint256 chain = block.chainid; uint256 number = block.number;
        deposit(2 ether);
        try this.lose() { revert("passed"); } catch {}
        require(vm.activeFork() == a && block.chainid == chain && block.number == number, "the selection stays");
        require(fil.filBalance("f05") == held + 2 ether, "the first's market");
        vm.selectFork(b); require(fil.filBalance("f05") == 0, "the second's market");
    }
    /// A test contract has one ID on all forks, which is no other actor's there.
    function test_ids() public {
        uint64 mine = self();
        vm.selectFork(a); require(self() == mine && mine >= 1 << 40, "on the first");
        Kept kept = new Kept(); kept.setX(9); vm.makePersistent(address(kept));
        uint64 its = fil.actorId(fil.filAddress(address(kept)));
        vm.selectFork(b); require(self() == mine, "on the second");
        require(kept.x() == 9, "persistent");
        Kept other = new Kept(); require(fil.actorId(fil.filAddress(address(other))) != its, "an ID twice");
        kept.setX(11);
        vm.selectFork(a); require(kept.x() == 11, "persistent, back");
        require(address(other).code.length == 0, "what the second has made is on the first");
        Kept third = new Kept(); require(address(third).code.length > 0 && third.x() == 7, "made after it");
    }
    /// Money and nonces of the network's accounts are each fork's own.
    function test_accounts() public {
        address dev = 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266;
        vm.selectFork(a); uint64 nonce = vm.getNonce(dev); vm.deal(dev, 5);
        vm.selectFork(b); require(dev.balance > 1 ether && vm.getNonce(dev) < nonce, "the second's account");
        vm.selectFork(a); require(dev.balance == 5, "dealt");
    }
    /// Epochs pass on one fork alone, with cron.
    function test_epochs() public {
        vm.selectFork(a); uint256 number = block.number; fil.advanceEpochs(3); require(block.number == number + 3, "epochs");
        vm.selectFork(b); require(block.number == vm.envUint("SECOND_EPOCH"), "the second's epoch");
        vm.selectFork(a); require(block.number == number + 3, "kept");
        vm.rollFork(2); require(block.number == 2 && C.number() == vm.envUint("FIRST_SET"), "rolled");
    }
    function test_future() public { vm.createFork("first", 1 << 40); }
    function test_snapshot() public {
        vm.selectFork(a); uint256 held = fil.filBalance("f05"); uint256 s = vm.snapshotState();
        deposit(1 ether); vm.selectFork(b); deposit(1 ether);
        require(vm.revertToState(s) && vm.activeFork() == a && fil.filBalance("f05") == held, "the snapshot");
        vm.selectFork(b); require(fil.filBalance("f05") == 0, "the second");
    }
    function testFuzz_forks(uint64 n) public {
        vm.selectFork(a); C.set(n); require(C.number() == n, "set"); vm.selectFork(b); require(C.number() == vm.envUint("SECOND_SET"), "untouched");
    }
    /// The test begins without a fork, on a machine of its own.
    function test_none() public { require(block.chainid == 31337 || block.chainid == 31415926, "chain"); require(address(C).code.length == 0, "own"); vm.activeFork(); }
}

/// A fork that a node answers for as none would.
contract HostileTipsets {
    function test_fork() public { vm.createSelectFork("hostile"); Counter(0x5FbDB2315678afecb367f032d93F642f64180aa3).number(); }
}

/// A contract whose own code has no cheatcode of forks: what it is on no fork, another actor may be on one.
contract Chooser { function choose() external { vm.createSelectFork("first"); } }
contract TipsetElsewhere {
    function test_elsewhere() public {
        bytes memory code = fil.getCode("Tipsets.t.sol:Chooser"); Chooser made;
        assembly { made := create(0, add(code, 32), mload(code)) }
        made.choose();
    }
}
