"""The three services; they meet only in the ledger."""
