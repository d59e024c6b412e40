"""Properties of the reward actor's streams (FIP-0118): invariants, random programs of governance, awards and claims."""
