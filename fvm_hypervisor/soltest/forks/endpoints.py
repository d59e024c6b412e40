"""Resolution of node names: an alias of `rpc_endpoints` or a URL; `${NAME}` is an environment variable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hypervisor.errors import InvalidInput
from localnet.fork.urls import redacted_url

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


def endpoint_url(name: str, endpoints: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """Return the URL of a name. Raises InvalidInput."""
    url = endpoints.get(name, name)

    def value(found: re.Match[str]) -> str:
        known = environment.get(found[1])
        if known is None:
            raise InvalidInput(f"environment variable `{found[1]}` not found")
        return known

    url = _VARIABLE.sub(value, url)
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"invalid rpc url: {redacted_url(name)}")
    return url
