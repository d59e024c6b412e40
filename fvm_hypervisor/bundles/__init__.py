"""The user's folder of official bundles: downloads, additions, and descriptions.

`hypervisor.bundle_library` resolves names to files.
"""
