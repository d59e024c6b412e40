"""Content-addressed storage: CIDs, DAG-CBOR, blockstores, HAMT, AMT, KAMT and CAR files, independent of actors.

Read `cid`, `codec` and `blockstore` first.
"""
