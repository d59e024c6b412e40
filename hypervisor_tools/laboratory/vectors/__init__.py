"""Test vectors: running, recording, extracting and explaining them."""
