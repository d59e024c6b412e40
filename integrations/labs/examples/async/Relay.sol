// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// The outbox of the lab `async`, as contracts call it.
interface Outbox {
    function post(
        bytes calldata to,
        uint64 method,
        bytes calldata params,
        uint256 value,
        uint64 gasBudget,
        uint64 expiry,
        uint64 receiptMethod,
        uint64 receiptGas
    ) external payable returns (uint64 id);
}

/// Does what a message asks: posts further messages, remembers its number, fails if it should.
contract Relay {
    address constant OUTBOX = 0xff00000000000000000000000000000000000014;

    uint64[] public numbers;
    bytes[] public receipts;
    uint64 public lastPost;

    function run(uint64 number, bytes[] calldata posts, uint256[] calldata values, bool fails) external payable {
        for (uint256 place = 0; place < posts.length; place++) {
            (bool taken, bytes memory answer) = OUTBOX.call{value: values[place]}(posts[place]);
            if (taken) lastPost = abi.decode(answer, (uint64));
        }
        numbers.push(number);
        require(!fails, "as asked");
    }

    /// What is posted without a receipt method ends here unseen; a receipt comes with the method that was named.
    function handle_filecoin_method(uint64 method, uint64, bytes calldata params)
        external
        payable
        returns (uint32, uint64, bytes memory)
    {
        require(msg.sender == OUTBOX, "only the outbox sends receipts");
        require(method == 4_000_000_000, "no other method");
        receipts.push(params);
        return (0, 0, "");
    }

    receive() external payable {}
}
