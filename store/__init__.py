"""Content-addressed storage: CIDs, DAG-CBOR, blockstores, HAMT, AMT, KAMT, CAR. Knows IPLD, knows nothing of actors."""

from store.compiled import check_compiled

check_compiled()
