"""The user's folder of official bundles: downloads, additions, and descriptions.

`hypervisor.bundles.bundle_library` resolves names to files.
"""
