"""What lies on disk: walk the roots, identify contents, keep the ledger and the batches."""
