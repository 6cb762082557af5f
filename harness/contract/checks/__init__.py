"""The clauses, one module per family; every module in here is found and loaded by itself."""
