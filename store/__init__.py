"""Content-addressed storage: CIDs, DAG-CBOR, blockstores, HAMT, AMT, KAMT and CAR files, independent of actors."""

from store.compiled import check_compiled

check_compiled()
