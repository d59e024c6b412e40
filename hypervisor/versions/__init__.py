"""Network versions as rows, and changes to them: features, overlays and drafts.

Migrations of states are in `hypervisor.migrations`. Read `network_versions`, `features` and `overlay` first.
"""
