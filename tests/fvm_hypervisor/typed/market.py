"""Market, as its compiler describes it.

Written by `hypervisor bindings`, which writes it anew when the contract changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from json import loads
from typing import Any, ClassVar, Final, NamedTuple, Self, overload

from bridge.abi import ContractInterface
from bridge.addresses import EthAddress
from localnet.addresses import Target
from localnet.contracts.typed_contract import (
    Chain,
    ContractError,
    ContractEvent,
    ErrorTypes,
    EventTypes,
    Overloads,
    Paying,
    Reading,
    Results,
    Sending,
    TypedContract,
)
from localnet.contracts.typed_values import Structs


@dataclass(frozen=True, slots=True)
class Seller:
    """The struct `Market.Seller`."""

    account: EthAddress
    name: str


@dataclass(frozen=True, slots=True)
class MoneyOffer:
    """The struct `Money.Offer`."""

    price: int
    open: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """The struct `Market.Offer`."""

    seller: Seller
    terms: MoneyOffer
    dates: tuple[int, ...]
    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Marked(ContractEvent):
    """The event `Marked()`."""


@dataclass(frozen=True, slots=True)
class Phased(ContractEvent):
    """The event `Phased(uint8)`."""

    phase: int


@dataclass(frozen=True, slots=True)
class Sold(ContractEvent):
    """The event `Sold(address,string,string,uint256)`.

    A name has got another owner.
    """

    from_: EthAddress
    word: bytes
    name: str
    price: int


@dataclass(frozen=True, slots=True)
class Closed(ContractError):
    """The error `Closed()`."""


@dataclass(frozen=True, slots=True)
class TooLittle(ContractError):
    """The error `TooLittle(uint256,uint256)`.

    A price was not met.

    paid: attoFIL that came

    price: attoFIL that were asked for
    """

    paid: int
    price: int


@dataclass(frozen=True, slots=True)
class Unknown(ContractError):
    """The error `Unknown(string,address)`.

    Nobody offers it.
    """

    name: str
    asker: EthAddress


class NumbersResult(NamedTuple):
    """Return values of `numbers(int128,bytes4)`."""

    twice: int
    same: bytes
    list_: tuple[int, ...]


_ABI: Final = (
    '[{"type":"constructor","stateMutability":"payable","inputs":[{"name":"treasury_","type":"address","i'
    'nternalType":"address"},{"name":"fee_","type":"uint256","internalType":"uint256"}],"outputs":[]},{"t'
    'ype":"error","name":"Closed","inputs":[],"outputs":[]},{"type":"error","name":"TooLittle","inputs":['
    '{"name":"paid","type":"uint256","internalType":"uint256"},{"name":"price","type":"uint256","internal'
    'Type":"uint256"}],"outputs":[]},{"type":"error","name":"Unknown","inputs":[{"name":"name","type":"st'
    'ring","internalType":"string"},{"name":"asker","type":"address","internalType":"address"}],"outputs"'
    ':[]},{"type":"event","name":"Marked","anonymous":false,"inputs":[],"outputs":[]},{"type":"event","na'
    'me":"Phased","anonymous":false,"inputs":[{"name":"phase","type":"uint8","internalType":"enum Market.'
    'Phase","indexed":false}],"outputs":[]},{"type":"event","name":"Sold","anonymous":false,"inputs":[{"n'
    'ame":"from","type":"address","internalType":"address","indexed":true},{"name":"word","type":"string"'
    ',"internalType":"string","indexed":true},{"name":"name","type":"string","internalType":"string","ind'
    'exed":false},{"name":"price","type":"uint256","internalType":"uint256","indexed":false}],"outputs":['
    ']},{"type":"function","name":"buy","stateMutability":"payable","inputs":[{"name":"name","type":"stri'
    'ng","internalType":"string"}],"outputs":[{"name":"price","type":"uint256","internalType":"uint256"}]'
    '},{"type":"function","name":"class","stateMutability":"pure","inputs":[],"outputs":[{"name":"","type'
    '":"bytes","internalType":"bytes"}]},{"type":"function","name":"events","stateMutability":"pure","inp'
    'uts":[{"name":"from","type":"bool","internalType":"bool"}],"outputs":[{"name":"","type":"bool","inte'
    'rnalType":"bool"}]},{"type":"function","name":"fee","stateMutability":"view","inputs":[],"outputs":['
    '{"name":"","type":"uint256","internalType":"uint256"}]},{"type":"function","name":"list","stateMutab'
    'ility":"nonpayable","inputs":[{"name":"many","type":"tuple[]","internalType":"struct Market.Offer[]"'
    ',"components":[{"name":"seller","type":"tuple","internalType":"struct Market.Seller","components":[{'
    '"name":"account","type":"address","internalType":"address"},{"name":"name","type":"string","internal'
    'Type":"string"}]},{"name":"terms","type":"tuple","internalType":"struct Money.Offer","components":[{'
    '"name":"price","type":"uint256","internalType":"uint256"},{"name":"open","type":"bool","internalType'
    '":"bool"}]},{"name":"dates","type":"uint64[2]","internalType":"uint64[2]"},{"name":"tags","type":"by'
    'tes32[]","internalType":"bytes32[]"}]},{"name":"close","type":"bool","internalType":"bool"}],"output'
    's":[]},{"type":"function","name":"list","stateMutability":"nonpayable","inputs":[{"name":"offer","ty'
    'pe":"tuple","internalType":"struct Market.Offer","components":[{"name":"seller","type":"tuple","inte'
    'rnalType":"struct Market.Seller","components":[{"name":"account","type":"address","internalType":"ad'
    'dress"},{"name":"name","type":"string","internalType":"string"}]},{"name":"terms","type":"tuple","in'
    'ternalType":"struct Money.Offer","components":[{"name":"price","type":"uint256","internalType":"uint'
    '256"},{"name":"open","type":"bool","internalType":"bool"}]},{"name":"dates","type":"uint64[2]","inte'
    'rnalType":"uint64[2]"},{"name":"tags","type":"bytes32[]","internalType":"bytes32[]"}]}],"outputs":[]'
    '},{"type":"function","name":"look","stateMutability":"view","inputs":[{"name":"name","type":"string"'
    ',"internalType":"string"}],"outputs":[{"name":"","type":"tuple","internalType":"struct Market.Offer"'
    ',"components":[{"name":"seller","type":"tuple","internalType":"struct Market.Seller","components":[{'
    '"name":"account","type":"address","internalType":"address"},{"name":"name","type":"string","internal'
    'Type":"string"}]},{"name":"terms","type":"tuple","internalType":"struct Money.Offer","components":[{'
    '"name":"price","type":"uint256","internalType":"uint256"},{"name":"open","type":"bool","internalType'
    '":"bool"}]},{"name":"dates","type":"uint64[2]","internalType":"uint64[2]"},{"name":"tags","type":"by'
    'tes32[]","internalType":"bytes32[]"}]}]},{"type":"function","name":"numbers","stateMutability":"pure'
    '","inputs":[{"name":"x","type":"int128","internalType":"int128"},{"name":"tag","type":"bytes4","inte'
    'rnalType":"bytes4"}],"outputs":[{"name":"twice","type":"int128","internalType":"int128"},{"name":"sa'
    'me","type":"bytes4","internalType":"bytes4"},{"name":"list_","type":"uint8[]","internalType":"uint8['
    ']"}]},{"type":"function","name":"ownerOf","stateMutability":"view","inputs":[{"name":"","type":"byte'
    's32","internalType":"bytes32"}],"outputs":[{"name":"","type":"address","internalType":"address"}]},{'
    '"type":"function","name":"pair","stateMutability":"view","inputs":[],"outputs":[{"name":"","type":"a'
    'ddress","internalType":"address"},{"name":"","type":"uint256","internalType":"uint256"}]},{"type":"f'
    'unction","name":"phase","stateMutability":"view","inputs":[],"outputs":[{"name":"","type":"uint8","i'
    'nternalType":"enum Market.Phase"}]},{"type":"function","name":"setPhase","stateMutability":"nonpayab'
    'le","inputs":[{"name":"next","type":"uint8","internalType":"enum Market.Phase"}],"outputs":[]},{"typ'
    'e":"function","name":"show","stateMutability":"pure","inputs":[{"name":"","type":"address","internal'
    'Type":"address"}],"outputs":[{"name":"","type":"string","internalType":"string"}]},{"type":"function'
    '","name":"show","stateMutability":"pure","inputs":[{"name":"number","type":"uint256","internalType":'
    '"uint256"}],"outputs":[{"name":"","type":"string","internalType":"string"}]},{"type":"function","nam'
    'e":"treasury","stateMutability":"view","inputs":[],"outputs":[{"name":"","type":"address","internalT'
    'ype":"address"}]}]'
)
_BYTECODE: Final = (
    "60a06040526040516112d43803806112d48339810160408190526020916035565b6001600160a01b03909116608052600255"
    "606a565b5f5f604083850312156045575f5ffd5b82516001600160a01b0381168114605a575f5ffd5b602093909301519294"
    "9293505050565b60805161124b6100895f395f81816101c50152610266015261124b5ff3fe6080604052600436106100e757"
    "5f3560e01c8063a8aa1b3111610087578063c03afb5911610057578063c03afb5914610317578063ca3f7d22146103365780"
    "63ddca3f4314610362578063e5d08ab214610377575f5ffd5b8063a8aa1b3114610252578063aa9be2c1146102a7578063b1"
    "c9fe6e146102c6578063bff852fa146102ec575f5ffd5b8063492cc769116100c2578063492cc7691461019357806361d027"
    "b3146101b45780637dd56411146101ff5780638b514ed714610233575f5ffd5b806304ddbf71146100f257806322ed018314"
    "610129578063287a61e41461014a575f5ffd5b366100ee57005b5f5ffd5b3480156100fd575f5ffd5b5061011161010c3660"
    "046109bc565b6103a5565b60405161012093929190610a04565b60405180910390f35b348015610134575f5ffd5b50610148"
    "610143366004610a77565b610407565b005b348015610155575f5ffd5b50610186610164366004610b0b565b506040805180"
    "820190915260078152666164647265737360c81b602082015290565b6040516101209190610b70565b6101a66101a1366004"
    "610b82565b6104c2565b604051908152602001610120565b3480156101bf575f5ffd5b506101e77f00000000000000000000"
    "0000000000000000000000000000000000000000000081565b6040516001600160a01b039091168152602001610120565b34"
    "801561020a575f5ffd5b506101e7610219366004610bee565b60016020525f90815260409020546001600160a01b03168156"
    "5b34801561023e575f5ffd5b5061018661024d366004610bee565b610651565b34801561025d575f5ffd5b50610288600254"
    "7f000000000000000000000000000000000000000000000000000000000000000091565b604080516001600160a01b039093"
    "168352602083019190915201610120565b3480156102b2575f5ffd5b506101486102c1366004610c05565b6106a1565b3480"
    "156102d1575f5ffd5b506003546102df9060ff1681565b6040516101209190610c4f565b3480156102f7575f5ffd5b506040"
    "8051808201909152600381526260d2af60e91b6020820152610186565b348015610322575f5ffd5b50610148610331366004"
    "610c75565b6106eb565b348015610341575f5ffd5b50610355610350366004610b82565b610770565b604051610120919061"
    "0cfe565b34801561036d575f5ffd5b506101a660025481565b348015610382575f5ffd5b50610395610391366004610d8756"
    "5b1590565b6040519015158152602001610120565b604080516002808252606080830184525f938493919290602083019080"
    "3683370190505090506007816001815181106103e0576103e0610db6565b60ff909216602092830291909101909101526103"
    "fd856002610dca565b9593945092915050565b5f5b828110156104ac5783838281811061042357610423610db6565b905060"
    "20028101906104359190610dfc565b5f5f86868581811061044957610449610db6565b905060200281019061045b9190610d"
    "fc565b6104659080610e1a565b610473906020810190610e2e565b604051610481929190610e77565b604051809103902081"
    "526020019081526020015f2081816104a2919061106b565b5050600101610409565b5080156104bd576104bd60016106eb56"
    "5b505050565b5f5f5f5f85856040516104d6929190610e77565b604080519182900390912082526020820192909252015f20"
    "600381015490915060ff16610525578383336040516393b75cf760e01b815260040161051c939291906111fd565b60405180"
    "910390fd5b600160035460ff16600181111561053e5761053e610c3b565b0361055c57604051631cdde67b60e01b81526004"
    "0160405180910390fd5b600281015491503482111561058d5760405163618bc7c960e01b8152346004820152602481018390"
    "5260440161051c565b60038101805460ff1916905560405133906001905f906105b09088908890610e77565b604051809103"
    "902081526020019081526020015f205f6101000a8154816001600160a01b0302191690836001600160a01b03160217905550"
    "83836040516105f8929190610e77565b604051908190038120825490916001600160a01b03909116907fe4eb9af3813e8949"
    "b5891e6c4c47c26a7d6e9eb51b25aa40eb337d2025ba75349061064290889088908890611228565b60405180910390a35092"
    "915050565b6060811561067d5760405180604001604052806006815260200165373ab6b132b960d11b81525061069b565b60"
    "4051806040016040528060048152602001637a65726f60e01b8152505b92915050565b805f806106ae8380610e1a565b6106"
    "bc906020810190610e2e565b6040516106ca929190610e77565b604051809103902081526020019081526020015f20818161"
    "04bd919061106b565b6003805482919060ff19166001838181111561070957610709610c3b565b02179055507fb9fb2486e1"
    "bbfb63e5b4d6de9a6b9ebd49a44e580dc12c1265d0fb71295127a88160405161073d9190610c4f565b60405180910390a160"
    "40517f9789ab8f63bfe1c307672aa17f027102ec27a9b353911edb33d9fe8f7c0b5c9f905f90a150565b610778610946565b"
    "5f5f848460405161078a929190610e77565b60408051918290039091208252602082019290925281015f20815160c0810190"
    "925280546001600160a01b031660808301908152600182018054849291849160a0850191906107d890610e86565b80601f01"
    "6020809104026020016040519081016040528092919081815260200182805461080490610e86565b801561084f5780601f10"
    "6108265761010080835404028352916020019161084f565b820191905f5260205f20905b8154815290600101906020018083"
    "1161083257829003601f168201915b5050509190925250505081526040805180820182526002848101548252600385015460"
    "ff1615156020808401919091528401919091528151808301808452929093019291600485019190825f855b82829054906101"
    "000a90046001600160401b03166001600160401b031681526020019060080190602082600701049283019260010382029150"
    "80841161089d5790505050505050815260200160058201805480602002602001604051908101604052809291908181526020"
    "01828054801561093557602002820191905f5260205f20905b815481526020019060010190808311610921575b5050505050"
    "81525050905092915050565b6040805160c081019091525f60808201908152606060a0830152819081526020016109846040"
    "5180604001604052805f81526020015f151581525090565b815260200161099161099e565b8152602001606081525090565b"
    "60405180604001604052806002906020820280368337509192915050565b5f5f604083850312156109cd575f5ffd5b823580"
    "600f0b81146109dd575f5ffd5b915060208301356001600160e01b0319811681146109f9575f5ffd5b809150509250929050"
    "565b5f6060820185600f0b835263ffffffff60e01b8516602084015260606040840152808451808352608085019150602086"
    "0192505f5b81811015610a5a57835160ff16835260209384019390920191600101610a39565b509097965050505050505056"
    "5b8015158114610a74575f5ffd5b50565b5f5f5f60408486031215610a89575f5ffd5b83356001600160401b03811115610a"
    "9e575f5ffd5b8401601f81018613610aae575f5ffd5b80356001600160401b03811115610ac3575f5ffd5b8660208260051b"
    "8401011115610ad7575f5ffd5b602091820194509250840135610aec81610a67565b809150509250925092565b6001600160"
    "a01b0381168114610a74575f5ffd5b5f60208284031215610b1b575f5ffd5b8135610b2681610af7565b9392505050565b5f"
    "81518084525f5b81811015610b5157602081850181015186830182015201610b35565b505f602082860101526020601f1960"
    "1f83011685010191505092915050565b602081525f610b266020830184610b2d565b5f5f60208385031215610b93575f5ffd"
    "5b82356001600160401b03811115610ba8575f5ffd5b8301601f81018513610bb8575f5ffd5b80356001600160401b038111"
    "15610bcd575f5ffd5b856020828401011115610bde575f5ffd5b6020919091019590945092505050565b5f60208284031215"
    "610bfe575f5ffd5b5035919050565b5f60208284031215610c15575f5ffd5b81356001600160401b03811115610c2a575f5f"
    "fd5b820160c08185031215610b26575f5ffd5b634e487b7160e01b5f52602160045260245ffd5b6020810160028310610c6f"
    "57634e487b7160e01b5f52602160045260245ffd5b91905290565b5f60208284031215610c85575f5ffd5b81356002811061"
    "0b26575f5ffd5b805f5b6002811015610cbe5781516001600160401b0316845260209384019390910190600101610c96565b"
    "50505050565b5f8151808452602084019350602083015f5b82811015610cf457815186526020958601959091019060010161"
    "0cd6565b5093949350505050565b6020808252825160c08383015280516001600160a01b031660e084015201516040610100"
    "8301525f90610d35610120840182610b2d565b90506020840151805160408501526020810151151560608501525060408401"
    "51610d626080850182610c93565b506060840151838203601f190160c0850152610d7e8282610cc4565b9594505050505056"
    "5b5f60208284031215610d97575f5ffd5b8135610b2681610a67565b634e487b7160e01b5f52604160045260245ffd5b634e"
    "487b7160e01b5f52603260045260245ffd5b5f82600f0b82600f0b0280600f0b9150808214610df557634e487b7160e01b5f"
    "52601160045260245ffd5b5092915050565b5f823560be19833603018112610e10575f5ffd5b9190910192915050565b5f82"
    "35603e19833603018112610e10575f5ffd5b5f5f8335601e19843603018112610e43575f5ffd5b8301803591506001600160"
    "401b03821115610e5c575f5ffd5b602001915036819003821315610e70575f5ffd5b9250929050565b818382375f91019081"
    "52919050565b600181811c90821680610e9a57607f821691505b602082108103610eb857634e487b7160e01b5f5260226004"
    "5260245ffd5b50919050565b601f8211156104bd57828211156104bd57805f5260205f20601f840160051c6020851015610e"
    "e957505f5b90810190601f840160051c035f5b81811015610f0c575f83820155600101610ef7565b505050505050565b8135"
    "8155600181016020830135610f2a81610a67565b815490151560ff1660ff19919091161790555050565b815f805b60028110"
    "15610f92575f83356001600160401b038116808214610f65575f5ffd5b602095909501946001600160401b03600685901b90"
    "811b1995909516941b93909317925050600101610f44565b509091555050565b5f5f8335601e19843603018112610faf575f"
    "5ffd5b8301803591506001600160401b03821115610fc8575f5ffd5b6020019150600581901b3603821315610e70575f5ffd"
    "5b6001600160401b03831115610ff657610ff6610da2565b6801000000000000000083111561100f5761100f610da2565b80"
    "548382558084101561104357815f528360205f20018482035f5b8181101561103f575f8382015560010161102a565b505050"
    "5b505f8181526020812083915b85811015610f0c5782358282015560209092019160010161104f565b8135603e1983360301"
    "811261107e575f5ffd5b8201803561108b81610af7565b82546001600160a01b0319166001600160a01b0391909116178255"
    "60018201602082013536839003601e190181126110c1575f5ffd5b919091019081356001600160401b03811180156110dc57"
    "5f5ffd5b8136036020850113156110ed575f5ffd5b5f905050611105816110ff8454610e86565b84610ebe565b5f601f8211"
    "60018114611139575f83156111225750848201602001355b5f19600385901b1c1916600184901b178455611195565b5f8481"
    "5260208120601f198516915b8281101561116a57602085890181013583559485019460019092019101611148565b50848210"
    "15611189575f1960f88660031b161c19602085890101351681555b505060018360011b0184555b50505050506111aa602083"
    "0160028301610f14565b6111ba6060830160048301610f40565b6111c760a0830183610f9a565b610cbe818360058601610f"
    "df565b81835281816020850137505f828201602090810191909152601f909101601f19169091010190565b604081525f6112"
    "106040830185876111d5565b905060018060a01b0383166020830152949350505050565b604081525f61123b604083018587"
    "6111d5565b905082602083015294935050505056"
)


class Market(TypedContract):
    """Sells names, one for each price.

    ''' is no end of a docstring, and \\ no escape: {} %s
    """

    interface = ContractInterface(loads(_ABI))
    bytecode = bytes.fromhex(_BYTECODE)
    structs: ClassVar[Structs] = {
        "Market.Seller": Seller,
        "Money.Offer": MoneyOffer,
        "Market.Offer": Offer,
    }
    event_types: ClassVar[EventTypes] = {
        "Marked()": Marked,
        "Phased(uint8)": Phased,
        "Sold(address,string,string,uint256)": Sold,
    }
    error_types: ClassVar[ErrorTypes] = {
        "Closed()": Closed,
        "TooLittle(uint256,uint256)": TooLittle,
        "Unknown(string,address)": Unknown,
    }
    results: ClassVar[Results] = {
        "numbers(int128,bytes4)": NumbersResult,
    }
    overloads: ClassVar[Overloads] = {
        "list_": (
            ("list(((address,string),(uint256,bool),uint64[2],bytes32[])[],bool)", ("many", "close"), Sending),
            ("list(((address,string),(uint256,bool),uint64[2],bytes32[]))", ("offer",), Sending),
        ),
    }

    @classmethod
    def deploy(
        cls,
        chain: Chain,
        treasury: Target,
        fee: int,
        *,
        value: int = 0,
        sender: Target | None = None,
        gas_limit: int | None = None,
    ) -> Self:
        """Deploy the contract.

        treasury_: who gets the fees

        `value` in attoFIL.
        """
        return cls._deployed(chain, (treasury, fee), value, sender, gas_limit)

    def buy(self, name: str) -> Paying[int]:
        """The function `buy(string)`, which takes a value.

        Buy a name.

        The seller gets what is paid.

        Returns price: attoFIL that it cost
        """
        return Paying(self, "buy(string)", name)

    def class_(self) -> Reading[bytes]:
        """The function `class()`, which changes nothing."""
        return Reading(self, "class()")

    def events_(self, from_: bool) -> Reading[bool]:
        """The function `events(bool)`, which changes nothing."""
        return Reading(self, "events(bool)", from_)

    def fee(self) -> Reading[int]:
        """The function `fee()`, which changes nothing."""
        return Reading(self, "fee()")

    @overload
    def list_(self, many: Sequence[Offer], close: bool) -> Sending[None]:
        """The function `list(((address,string),(uint256,bool),uint64[2],bytes32[])[],bool)`."""

    @overload
    def list_(self, offer: Offer) -> Sending[None]:
        """The function `list(((address,string),(uint256,bool),uint64[2],bytes32[]))`.

        Offer a name.

        offer: what is offered, under the seller's name
        """

    def list_(self, *arguments: Any, **named: Any) -> Any:
        """The overload of `list_` with the given number of arguments."""
        return self._overloaded("list_", arguments, named)

    def look(self, name: str) -> Reading[Offer]:
        """The function `look(string)`, which changes nothing.

        What is offered under a name.
        """
        return Reading(self, "look(string)", name)

    def numbers(self, x: int, tag: bytes) -> Reading[NumbersResult]:
        """The function `numbers(int128,bytes4)`, which changes nothing."""
        return Reading(self, "numbers(int128,bytes4)", x, tag)

    def owner_of(self, argument_0: bytes) -> Reading[EthAddress]:
        """The function `ownerOf(bytes32)`, which changes nothing."""
        return Reading(self, "ownerOf(bytes32)", argument_0)

    def pair(self) -> Reading[tuple[EthAddress, int]]:
        """The function `pair()`, which changes nothing."""
        return Reading(self, "pair()")

    def phase(self) -> Reading[int]:
        """The function `phase()`, which changes nothing."""
        return Reading(self, "phase()")

    def set_phase(self, next: int) -> Sending[None]:
        """The function `setPhase(uint8)`."""
        return Sending(self, "setPhase(uint8)", next)

    def show_address(self, argument_0: Target) -> Reading[str]:
        """The function `show(address)`, which changes nothing."""
        return Reading(self, "show(address)", argument_0)

    def show_uint256(self, number: int) -> Reading[str]:
        """The function `show(uint256)`, which changes nothing."""
        return Reading(self, "show(uint256)", number)

    def treasury(self) -> Reading[EthAddress]:
        """The function `treasury()`, which changes nothing."""
        return Reading(self, "treasury()")
