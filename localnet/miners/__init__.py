"""Storage miners, deals' DataCap and pledge on a local network."""
