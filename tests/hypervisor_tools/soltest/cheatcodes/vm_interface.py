"""The signatures of forge-std's `Vm.sol`, with canonical types."""

import re

_STRUCT = re.compile(r"struct (\w+) \{(.*?)\}", re.DOTALL)
_FUNCTION = re.compile(r"function (\w+)\s*\((.*?)\)", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def signatures(source: str) -> set[str]:
    """Return every function of the interfaces in a source."""
    source = _COMMENT.sub("", source)
    structs = {
        found[1]: [field.split()[0] for field in found[2].split(";") if field.strip()]
        for found in _STRUCT.finditer(source)
    }
    enums = set(re.findall(r"enum (\w+)", source))

    def canonical(kind: str) -> str:
        name, *rest = re.split(r"(?=\[)", kind, maxsplit=1)
        name = name.split(".")[-1]
        if name in structs:
            name = f"({','.join(canonical(field) for field in structs[name])})"
        elif name in enums:
            name = "uint8"
        return name + "".join(rest)

    return {
        f"{found[1]}({','.join(canonical(part.split()[0]) for part in found[2].split(',') if part.strip())})"
        for found in _FUNCTION.finditer(source)
    }
