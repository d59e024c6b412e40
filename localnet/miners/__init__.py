"""Storage miners, deals' DataCap, pledge and the streams of the block reward on a local network."""
