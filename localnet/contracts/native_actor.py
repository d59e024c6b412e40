"""Native actors by their interface: user actors, whose schema is stored with their code, and built-in actors.

    code = network.actors.install("tip_jar.wasm", "interface.ipldsch")
    jar = network.actors.create(code, {"owner": network.accounts[0].native})
    jar.send("Tip", {"note": "thanks"}, value=10**18)
    assert jar.call("Total").tips == 1

The IPLD schema gives the types of methods, parameters and results (`bridge.actors.interfaces`). No message on the
network installs user code yet, so code and actors are written to the state directly (`Hypervisor.install`,
`Hypervisor.create`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from bridge.actors.interfaces import UNKNOWN_INTERFACE, Interface, to_python
from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.text import printable
from hypervisor.types import MAX_FILECOIN_BALANCE, ActorID, TokenAmount, octets, whole_number
from localnet.accounts import Account
from localnet.addresses import Target, filecoin_address
from localnet.contracts.network import Messages
from localnet.ledger.records import TransactionReceipt
from localnet.rules.parts import native_output_of
from localnet.state.actor_interfaces import StoredSchemas
from localnet.state.controls import set_actor_code
from localnet.state.named_code import NamedCode, schema_in_module, store_named_code, stored_interface
from store.blockstore import get_object
from store.cid import Cid, show
from store.schema import SchemaError

MAX_MODULE: Final = 8 << 20
"""Maximum size of a module file in bytes."""

MAX_NAME: Final = 64
"""Maximum length of the name of installed code, in characters."""


class NativeActor:
    """A native actor. `call` reads, `send` sends a message, `state` is the state decoded by the schema.

    Values are in attoFIL. Raises InvalidInput for methods and parameters that are not in the interface, and
    CallFailed or TransactionFailed if the actor aborts.

    >>> from localnet import Network
    >>> with Network() as network:
    ...     datacap = network.actors.at("f07")
    ...     datacap.call("Name"), datacap.state.governor
    ('DataCap', Address.parse('f06'))
    """

    def __init__(self, network: Messages, address: Address, interface: Interface) -> None:
        self._network = network
        self.address = address
        self.interface = interface

    @property
    def id(self) -> ActorID:
        """The actor's ID, the number in its f0 address. Raises InvalidInput if there is no actor any more."""
        machine = self._network.machine
        found = machine.state_tree.lookup_id(self.address)
        if found is None or machine.state_tree.get_actor(found) is None:
            raise InvalidInput(f"there is no actor {self.address}")
        return found

    def call(
        self,
        method: str | int,
        params: Any = None,
        *,
        value: int = 0,
        sender: Account | None = None,
        cbor: bytes | None = None,
    ) -> Any:
        """Call a method without a message and return its typed result. `params` are those of `Interface.params`.

        `method` is a name or number, `value` in attoFIL, `cbor` the encoded parameters instead of `params`. The
        result of an unknown method number is bytes. Raises CallFailed, InvalidInput.
        """
        return self._decode(method, self.call_raw(method, params, value=value, sender=sender, cbor=cbor))

    def call_raw(
        self,
        method: str | int,
        params: Any = None,
        *,
        value: int = 0,
        sender: Account | None = None,
        cbor: bytes | None = None,
    ) -> bytes:
        """Call a method without a message and return its CBOR return value. Raises CallFailed, InvalidInput."""
        from_ = (sender or self._network.accounts[0]).native
        number, data = self.interface.message(method, params, cbor)
        whole_number(value, "a value", None, unit=self._network.rules.unit)
        limit = self._network.rules.limits.call_gas
        message = Message(self.address, from_, 0, TokenAmount(value), number, data, gas_limit=limit)
        return native_output_of(self._network.rules, self._network.machine.call(message))

    def send(
        self,
        method: str | int,
        params: Any = None,
        *,
        value: int = 0,
        sender: Account | None = None,
        cbor: bytes | None = None,
    ) -> TransactionReceipt:
        """Send a message from an account's native address to a method; `answer` decodes its return value.

        `value` is in attoFIL; method and parameters are those of `call`. Raises InvalidInput, and the errors of
        `Network.send_native`.
        """
        number, data = self.interface.message(method, params, cbor)
        return self._network.send_native(
            self.address,
            number,
            data,
            value=value,
            sender=sender,
            gas_limit=self._network.rules.limits.large_message_gas,
        )

    def return_value(self, method: str | int, receipt: TransactionReceipt) -> Any:
        """Return the typed return value of a message. Raises InvalidInput for data that does not match the schema."""
        return self._decode(method, actor_return(receipt))

    answer = return_value
    """Former name of `return_value`, until version 0.4."""

    def _decode(self, method: str | int, data: bytes) -> Any:
        name = self.interface.method_name(method)
        return data if name is None else self.interface.decode_return(name, data)

    @property
    def state(self) -> Any:
        """The actor's state, decoded as the schema's type `State`.

        Raises InvalidInput if it does not match the schema.
        """
        machine, schema = self._network.machine, self.interface.schema
        actor = existing_actor(machine, self.address)
        machine.state_tree.flush()
        try:
            return to_python(schema, "State", schema.read("State", get_object(machine.store, actor.head)))
        except SchemaError as error:
            raise InvalidInput(f"the state of {self.address}: {error}") from None

    def __str__(self) -> str:
        return str(self.address)

    def __repr__(self) -> str:
        return f"NativeActor({self})"


def actor_return(receipt: TransactionReceipt) -> bytes:
    """Return an actor's raw return value; the receipt's own `return_data` is the form for Ethereum's tools."""
    return receipt.execution.receipt.return_data


class NativeActors:
    """The native actors of a network (`Network.actors`)."""

    def __init__(self, network: Messages) -> None:
        self._network = network

    def install(
        self, module: str | Path | bytes, interface: str | Path | None = None, *, name: str | None = None
    ) -> Cid:
        """Install a user's WASM module (a file or bytes) with the schema file of its interface; return the code CID.

        Traces and logs name the code by `name`, by default that of the file. Raises InvalidInput for unreadable files
        or an invalid schema, and InvalidModule if the machine's rules reject the module; nothing has changed then.
        """
        text = None if interface is None else read_schema(interface)
        called = "" if isinstance(module, bytes) else Path(module).stem
        data = module if isinstance(module, bytes) else read_module(module)
        return self.keep(data, text, called if name is None else name)

    def keep(self, module: bytes, schema: str | None = None, name: str = "") -> Cid:
        """Install a module from its bytes and its schema's text; return the code CID.

        Without the latter, the interface is that of the schema in the module, if any.
        """
        if schema is None:
            schema_in_module(module)
        else:
            Interface.parse(schema)
        machine = self._network.machine
        code = machine.install(module)
        self._network.chain.keep_changes()
        store_named_code(machine.base, NamedCode(code, code_label(name) or None, schema))
        return code

    def create(self, code: Cid, params: Any = None, *, value: int = 0, cbor: bytes | None = None) -> NativeActor:
        """Create an actor with installed code: `params` are its constructor's, typed by the schema, or `cbor` as it is.

        `value`, in attoFIL, is created. Raises InvalidInput, CreationFailed; nothing has changed then.
        """
        machine = self._network.machine
        interface = stored_interface(machine.base, code)
        if cbor is not None:
            data = octets(cbor, "parameters")
        elif interface is not None:
            data = interface.params("Constructor", params)
        else:
            raise InvalidInput(
                f"the interface of {show(code)} is not known: install its module on this chain with its schema, as "
                "`hypervisor actor install WASM --schema FILE` does, or with a section ipld.schema"
            )
        whole_number(value, "a balance", 0, MAX_FILECOIN_BALANCE, unit=self._network.rules.unit)
        created = machine.create(code, data, TokenAmount(value))
        self._network.chain.keep_changes()
        return self.unknown(created.address)

    def at(self, target: Target, interface: str | Path | None = None) -> NativeActor:
        """Return an existing actor, built-in or a user's, with the interface in a schema file or the known one.

        Raises AddressError, InvalidInput.
        """
        address, machine = filecoin_address(target), self._network.machine
        actor = existing_actor(machine, address)
        if interface is not None:
            return NativeActor(self._network, address, read_interface(interface))
        known = interface_of_actor(machine, actor)
        if known is None:
            fault = StoredSchemas.of_machine(machine)(actor).fault
            raise InvalidInput(
                f"the interface of {address} is not known: {f'{fault}; ' if fault else ''}name its schema"
            )
        return NativeActor(self._network, address, known)

    def unknown(self, target: Target) -> NativeActor:
        """Return an existing actor, called by numbers and CBOR if its interface is not known. Raises as `at`."""
        address, machine = filecoin_address(target), self._network.machine
        return NativeActor(
            self._network, address, interface_of_actor(machine, existing_actor(machine, address)) or UNKNOWN_INTERFACE
        )

    def replace(self, target: Target, code: Cid) -> NativeActor:
        """Replace an actor's code by a built-in actor's or installed code; state, balance and nonce are unchanged.

        Its interface is then that of the code. Raises AddressError, InvalidInput; nothing has changed then.
        """
        address, machine = filecoin_address(target), self._network.machine
        set_actor_code(machine, address, code)
        self._network.chain.keep_changes()
        return self.unknown(address)


def interface_of_actor(machine: Hypervisor, actor: ActorState) -> Interface | None:
    """Return the interface of a built-in actor, or the one installed with an actor's code; None if there is none."""
    name = machine.manifest.name_of(actor.code)
    return StoredSchemas.of_machine(machine)(actor).interface() if name is None else Interface.built_in(name)


def existing_actor(machine: Hypervisor, address: Address) -> ActorState:
    """Return the actor at an address. Raises InvalidInput if there is none."""
    actor = machine.actor(address)
    if actor is None:
        raise InvalidInput(f"there is no actor {address}")
    return actor


def code_label(name: str) -> str:
    """Return a name for code in traces and logs: printable, at most 64 characters."""
    return printable(name)[:MAX_NAME]


def read_interface(path: str | Path) -> Interface:
    """Read the interface in a schema file. Raises InvalidInput."""
    return Interface.parse(read_schema(path), str(path))


def read_actor_schema(path: str | Path) -> Interface:
    """Read the interface in a schema file, or in the section `ipld.schema` of a module. Raises InvalidInput."""
    data = read_bounded(Path(path), MAX_MODULE, "the schema")
    if not data.startswith(b"\0asm"):
        return read_interface(path)
    text = schema_in_module(data)
    if text is None:
        raise InvalidInput(f"the module {path} has no section ipld.schema: name the file of its schema")
    return Interface.parse(text, str(path))


def read_module(path: str | Path) -> bytes:
    """Read a module file. Raises InvalidInput if it cannot be read."""
    return read_bounded(Path(path), MAX_MODULE, "the module")


def read_schema(path: str | Path) -> str:
    """Read the text of a schema file, which is an interface."""
    try:
        text = read_bounded(Path(path), MAX_MODULE, "the schema").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the schema {path} is not text: {error}") from None
    Interface.parse(text, str(path))
    return text
