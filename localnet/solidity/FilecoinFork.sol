// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity >=0.8.13 <0.9.0;

/// Filecoin's precompiles for forge's tests and scripts on a fork of a `hypervisor node`:
///
///     import {FilecoinFork} from "./FilecoinFork.sol";
///     function setUp() public { FilecoinFork.activate(); }
///
/// forge runs contracts itself and has nothing at 0xfe..01 to 0xfe..06. `activate` puts code there that asks the node by
/// `vm.rpc`: built-in actors run on the node, contracts in forge. The state of the actors after each call is a name of
/// 32 bytes, which is kept in a storage slot of this machine: whatever forge takes back (a revert, a snapshot, the end
/// of a test), it takes back for the actors too. What is possible and what is not: docs/solidity-tests.md.
library FilecoinFork {
    FilecoinForkVm internal constant VM = FilecoinForkVm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
    FilecoinForkDesk internal constant DESK =
        FilecoinForkDesk(payable(address(uint160(uint256(keccak256("hypervisor FilecoinFork desk"))))));

    /// Make the precompiles work from now on, on the state of the forked block. Nothing is to be done where they work
    /// already: in `hypervisor test`, so that one suite of tests runs under both.
    function activate() internal {
        if (isReal()) return;
        VM.etch(precompile(1), type(FilecoinForkResolveAddress).runtimeCode);
        VM.etch(precompile(2), type(FilecoinForkLookupDelegatedAddress).runtimeCode);
        VM.etch(precompile(3), type(FilecoinForkCallActor).runtimeCode);
        VM.etch(precompile(5), type(FilecoinForkCallActorId).runtimeCode);
        VM.etch(precompile(6), type(FilecoinForkGetBeaconRandomness).runtimeCode);
        VM.etch(address(DESK), type(FilecoinForkDesk).runtimeCode);
        VM.deal(address(DESK), 1 << 120);
        VM.allowCheatcodes(address(DESK));
        VM.label(precompile(1), "resolve_address");
        VM.label(precompile(2), "lookup_delegated_address");
        VM.label(precompile(3), "call_actor");
        VM.label(precompile(5), "call_actor_id");
        VM.label(precompile(6), "get_beacon_randomness");
        VM.label(address(DESK), "FilecoinForkDesk");
        DESK.begin();
    }

    /// Whether actors are on this machine: it answers a cheatcode of Filecoin's own (FilecoinVm.sol), which forge lacks.
    function isReal() internal view returns (bool answered) {
        (answered,) = address(VM).staticcall(abi.encodeWithSignature("filAddress(address)", address(0)));
    }

    /// Where a precompile is.
    function precompile(uint8 number) internal pure returns (address) {
        return address((uint160(0xfe) << 152) | number);
    }
}

/// The cheatcodes that are used here.
interface FilecoinForkVm {
    function etch(address target, bytes calldata code) external;
    function deal(address account, uint256 balance) external;
    function allowCheatcodes(address account) external;
    function label(address account, string calldata name) external;
    function prank(address sender) external;
    function expectCall(address callee, bytes calldata data) external;
    function load(address target, bytes32 slot) external view returns (bytes32);
    function store(address target, bytes32 slot, bytes32 value) external;
    function rpc(string calldata method, string calldata params) external returns (bytes memory);
    function toString(address value) external pure returns (string memory);
    function toString(bytes calldata value) external pure returns (string memory);
    function toString(bytes32 value) external pure returns (string memory);
    function toString(uint256 value) external pure returns (string memory);
}

/// Asks the node, keeps the name of the actors' state, and moves the money that calls of actors move.
contract FilecoinForkDesk {
    struct Change {
        address account;
        uint256 before;
        uint256 afterwards;
    }

    struct Ask {
        address target;
        address caller;
        bytes data;
        bool readOnly;
    }

    struct Reply {
        uint8 status;
        bytes output;
        bytes32 state;
        Change[] changes;
        Ask ask;
    }

    uint8 private constant SUCCEEDED = 1;
    uint8 private constant ASKS = 2;
    FilecoinForkVm private constant VM = FilecoinForkVm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
    address private constant CONSOLE = 0x000000000000000000636F6e736F6c652e6c6f67;
    bytes32 private constant STATE = 0;

    receive() external payable {}

    /// Take the state of the block that forge has forked.
    function begin() external {
        bytes memory name = _rpc("hypervisor_beginState", string.concat('["', VM.toString(block.number), '"]'));
        VM.store(address(this), STATE, bytes32(name));
    }

    /// Call a precompile for a contract: whether it succeeds, what it returns, and what the contract has to pay for it.
    function ask(uint8 number, address sender, bytes calldata input)
        external
        returns (bool success, bytes memory output, uint256 price)
    {
        bytes32 state = VM.load(address(this), STATE);
        string memory request = _request(number, sender, input, state);
        string memory answers = "";
        Reply memory reply;
        while (true) {
            reply = abi.decode(_rpc("hypervisor_callPrecompile", string.concat(request, answers, "]}]")), (Reply));
            if (reply.status != ASKS) break;
            answers = string.concat(answers, bytes(answers).length == 0 ? "" : ",", _answer(reply.ask));
            if (VM.load(address(this), STATE) != state) {
                _fail("a contract that an actor calls has called actors itself, which is not possible in forge");
            }
        }
        if (reply.state != state) VM.store(address(this), STATE, reply.state);
        return (reply.status == SUCCEEDED, reply.output, _move(reply.changes, sender));
    }

    /// Fails in a static call, and does nothing.
    function probe() external {
        assembly {
            sstore(1, 0)
        }
    }

    function _request(uint8 number, address sender, bytes calldata input, bytes32 state)
        private
        returns (string memory)
    {
        string memory place = string.concat('["0xfe000000000000000000000000000000000000', "0", VM.toString(number), '","');
        string memory who = string.concat(
            '{"from":"', VM.toString(sender), '","balance":"', VM.toString(sender.balance),
            '","state":"', VM.toString(state), '","readOnly":', _isStatic() ? "true" : "false"
        );
        string memory where =
            string.concat(',"block":{"number":"', VM.toString(block.number), '","time":"', VM.toString(block.timestamp));
        return string.concat(place, VM.toString(input), '",', who, where, '"}', _inUse(number, input), ',"answers":[');
    }

    /// What a precompile is asked about may be an address that only forge knows.
    function _inUse(uint8 number, bytes calldata input) private view returns (string memory) {
        bytes calldata named = input;
        if (number == 3) {
            uint256 start = _word(input, 160);
            if (start > input.length || _word(input, start) != 22 || start + 54 > input.length) return "";
            named = input[start + 32:start + 54];
        } else if (number != 1) {
            return "";
        }
        if (named.length != 22 || named[0] != 0x04 || named[1] != 0x0a) return "";
        address account = address(bytes20(named[2:]));
        if (account.code.length == 0 && account.balance == 0) return "";
        string memory kind = account.code.length == 0 ? ',"accounts":["' : ',"contracts":["';
        return string.concat(kind, VM.toString(account), '"]');
    }

    function _word(bytes calldata input, uint256 start) private pure returns (uint256) {
        return start + 32 > input.length ? 0 : uint256(bytes32(input[start:start + 32]));
    }

    /// Run a contract that an actor calls.
    function _answer(Ask memory wanted) private returns (string memory) {
        bool success;
        bytes memory output;
        VM.prank(wanted.caller);
        if (wanted.readOnly) (success, output) = wanted.target.staticcall(wanted.data);
        else (success, output) = wanted.target.call(wanted.data);
        return string.concat('{"success":', success ? "true" : "false", ',"output":"', VM.toString(output), '"}');
    }

    /// Move money as the actors did. What the calling contract pays, it pays itself.
    function _move(Change[] memory changes, address sender) private returns (uint256 price) {
        for (uint256 i = 0; i < changes.length; i++) {
            Change memory change = changes[i];
            if (change.afterwards > change.before) _give(change.account, change.afterwards - change.before);
            else if (change.account == sender) price = change.before - change.afterwards;
            else _take(change.account, change.before - change.afterwards);
        }
    }

    /// Money without a call: no actor's transfer runs a contract's code.
    function _give(address account, uint256 amount) private {
        bytes memory code = abi.encodePacked(hex"73", account, hex"ff");
        assembly {
            pop(create(amount, add(code, 32), mload(code)))
        }
    }

    /// forge has no pranks while a script broadcasts: what actors have is not followed there.
    function _take(address account, uint256 amount) private {
        if (account.balance < amount) return;
        try VM.prank(account) {
            (bool paid,) = address(this).call{value: amount}("");
            require(paid, "an actor's money could not be moved");
        } catch {}
    }

    function _isStatic() private returns (bool) {
        (bool written,) = address(this).call{gas: 30_000}(abi.encodeCall(this.probe, ()));
        return !written;
    }

    function _rpc(string memory method, string memory params) private returns (bytes memory reply) {
        try VM.rpc(method, params) returns (bytes memory found) {
            reply = found;
        } catch (bytes memory reason) {
            if (reason.length >= 4) {
                assembly {
                    mstore(add(reason, 4), sub(mload(reason), 4))
                    reason := add(reason, 4)
                }
            }
            _fail(reason.length >= 64 ? abi.decode(reason, (string)) : "no fork of a node is active");
        }
    }

    /// Fail the whole test, whatever the contracts make of this call's failure: an answer would be wrong. A call that is
    /// expected and never comes is what forge remembers beyond a revert.
    function _fail(string memory reason) private {
        string memory said = string.concat("FilecoinFork: ", reason);
        (bool logged,) = CONSOLE.staticcall(abi.encodeWithSignature("log(string)", said));
        VM.expectCall(logged ? address(this) : CONSOLE, bytes(said));
        revert(said);
    }
}

/// What stands at a precompile's address: asks the desk.
abstract contract FilecoinForkPrecompile {
    receive() external payable {
        _forward("");
    }

    fallback(bytes calldata input) external payable returns (bytes memory) {
        return _forward(input);
    }

    function _number() internal pure virtual returns (uint8);

    function _forward(bytes memory input) private returns (bytes memory) {
        uint8 number = _number();
        bool called = address(this) == FilecoinFork.precompile(number);
        if (called && (number == 3 || number == 5)) _fail(); // they must be delegate-called
        (bool success, bytes memory output, uint256 price) =
            FilecoinFork.DESK.ask(number, called ? msg.sender : address(this), input);
        if (!success) _fail();
        if (price != 0) {
            (bool paid,) = address(FilecoinFork.DESK).call{value: price}("");
            require(paid, "FilecoinFork: the value could not be paid");
        }
        return output;
    }

    function _fail() private pure {
        assembly {
            revert(0, 0)
        }
    }
}

contract FilecoinForkResolveAddress is FilecoinForkPrecompile {
    function _number() internal pure override returns (uint8) {
        return 1;
    }
}

contract FilecoinForkLookupDelegatedAddress is FilecoinForkPrecompile {
    function _number() internal pure override returns (uint8) {
        return 2;
    }
}

contract FilecoinForkCallActor is FilecoinForkPrecompile {
    function _number() internal pure override returns (uint8) {
        return 3;
    }
}

contract FilecoinForkCallActorId is FilecoinForkPrecompile {
    function _number() internal pure override returns (uint8) {
        return 5;
    }
}

contract FilecoinForkGetBeaconRandomness is FilecoinForkPrecompile {
    function _number() internal pure override returns (uint8) {
        return 6;
    }
}
