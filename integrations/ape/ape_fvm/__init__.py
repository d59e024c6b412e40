"""Ape plugin for the network `filecoin:local` with the provider `hypervisor`, and for Filecoin addresses."""

from __future__ import annotations

from collections.abc import Iterator

from ape import plugins
from ape.api import ConverterAPI, NetworkAPI, PluginConfig, ProviderAPI


@plugins.register(plugins.Config)
def config_class() -> type[PluginConfig]:
    """Return the class of the `fvm` section of `ape-config.yaml`."""
    from ape_fvm.provider import HypervisorConfig

    return HypervisorConfig


@plugins.register(plugins.NetworkPlugin)
def networks() -> Iterator[tuple[str, str, type[NetworkAPI]]]:
    """Register the network `local` of the ecosystem `filecoin`."""
    yield "filecoin", "local", NetworkAPI


@plugins.register(plugins.ProviderPlugin)
def providers() -> Iterator[tuple[str, str, type[ProviderAPI]]]:
    """Register the provider of the local network."""
    from ape_fvm.provider import HypervisorProvider

    yield "filecoin", "local", HypervisorProvider


@plugins.register(plugins.ConversionPlugin)
def converters() -> Iterator[tuple[type, type[ConverterAPI]]]:
    """Register the conversion of Filecoin addresses."""
    from ape.types import AddressType

    from ape_fvm.addresses import FilecoinAddressConverter

    yield AddressType, FilecoinAddressConverter
