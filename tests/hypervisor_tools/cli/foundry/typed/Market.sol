// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @notice What goes wrong with money.
library Money {
    /// @notice A price was not met.
    /// @param paid attoFIL that came
    /// @param price attoFIL that were asked for
    error TooLittle(uint256 paid, uint256 price);

    struct Offer {
        uint256 price;
        bool open;
    }
}

/// @title A market of names
/// @notice Sells names, one for each price.
/// @dev """ is no end of a docstring, and \ no escape: {} %s
contract Market {
    enum Phase { Open, Closed }

    struct Seller {
        address account;
        string name;
    }

    struct Offer {
        Seller seller;
        Money.Offer terms;
        uint64[2] dates;
        bytes32[] tags;
    }

    /// @notice A name has got another owner.
    event Sold(address indexed from, string indexed word, string name, uint256 price);
    event Phased(Phase phase);
    event Marked();

    /// @notice Nobody offers it.
    error Unknown(string name, address asker);
    error Closed();

    mapping(bytes32 => Offer) private offers;
    mapping(bytes32 => address) public ownerOf;
    address public immutable treasury;
    uint256 public fee;
    Phase public phase;

    /// @param treasury_ who gets the fees
    constructor(address treasury_, uint256 fee_) payable {
        treasury = treasury_;
        fee = fee_;
    }

    /// @notice Offer a name.
    /// @param offer what is offered, under the seller's name
    function list(Offer calldata offer) external {
        offers[keccak256(bytes(offer.seller.name))] = offer;
    }

    function list(Offer[] calldata many, bool close) external {
        for (uint256 i = 0; i < many.length; i++) offers[keccak256(bytes(many[i].seller.name))] = many[i];
        if (close) setPhase(Phase.Closed);
    }

    /// @notice Buy a name.
    /// @dev The seller gets what is paid.
    /// @return price attoFIL that it cost
    function buy(string calldata name) external payable returns (uint256 price) {
        Offer storage offer = offers[keccak256(bytes(name))];
        if (!offer.terms.open) revert Unknown(name, msg.sender);
        if (phase == Phase.Closed) revert Closed();
        price = offer.terms.price;
        if (msg.value < price) revert Money.TooLittle(msg.value, price);
        offer.terms.open = false;
        ownerOf[keccak256(bytes(name))] = msg.sender;
        emit Sold(offer.seller.account, name, name, price);
    }

    function setPhase(Phase next) public {
        phase = next;
        emit Phased(next);
        emit Marked();
    }

    /// @notice What is offered under a name.
    function look(string calldata name) external view returns (Offer memory) {
        return offers[keccak256(bytes(name))];
    }

    function numbers(int128 x, bytes4 tag) external pure returns (int128 twice, bytes4 same, uint8[] memory list_) {
        list_ = new uint8[](2);
        list_[1] = 7;
        return (2 * x, tag, list_);
    }

    function pair() external view returns (address, uint256) {
        return (treasury, fee);
    }

    function show(uint256 number) external pure returns (string memory) {
        return number == 0 ? "zero" : "number";
    }

    function show(address) external pure returns (string memory) {
        return "address";
    }

    function class() external pure returns (bytes memory) {
        return hex"c1a55e";
    }

    function events(bool from) external pure returns (bool) {
        return !from;
    }

    receive() external payable {}
}
