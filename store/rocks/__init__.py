"""The store on disk: RocksDB in a folder, its checks, and garbage collection.

The names of garbage collection roots are in `store.roots`. Read `database`, `folder` and `collector` first.
"""
