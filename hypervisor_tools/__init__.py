"""Tools built on the VM: command line, Solidity tests, debugger, explorer, bindings, bundles and laboratory."""
