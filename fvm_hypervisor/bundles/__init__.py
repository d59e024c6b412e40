"""The user's folder of official bundles: downloading into it, adding to it, and saying what a bundle holds.

Which file a name means is `hypervisor.bundle_library`'s.
"""
