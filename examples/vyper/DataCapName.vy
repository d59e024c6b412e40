# pragma version ~=0.4.3
"""
@title Read the name of the DataCap token from the built-in actor
@license MIT OR Apache-2.0
"""

CALL_ACTOR: constant(address) = 0xfe00000000000000000000000000000000000005
DATACAP: constant(uint64) = 7
NAME: constant(uint64) = 48890204  # FRC-0042 number of the method "Name"
READ_ONLY: constant(uint64) = 1
NO_PARAMS: constant(uint64) = 0

kept: public(String[64])


@external
def keep() -> String[64]:
    """
    @dev Not a view function: the precompile only accepts delegate calls, which Vyper does not allow in view functions.
    """
    self.kept = self._name()
    return self.kept


def _name() -> String[64]:
    # Arguments: method, value in attoFIL, flags, codec of the parameters, parameters, actor ID.
    response: Bytes[256] = raw_call(
        CALL_ACTOR,
        abi_encode(NAME, empty(uint256), READ_ONLY, NO_PARAMS, b"", DATACAP),
        max_outsize=256,
        is_delegate_call=True,
    )
    exit_code: int256 = 0
    codec: uint64 = 0
    value: Bytes[96] = b""
    exit_code, codec, value = abi_decode(response, (int256, uint64, Bytes[96]))
    assert exit_code == 0, "the DataCap actor failed"
    # The return value is a CBOR text string of less than 24 bytes: a header byte (0x60 + length), then the text.
    length: uint256 = convert(slice(value, 0, 1), uint256) - 96
    return convert(slice(value, 1, length), String[64])
