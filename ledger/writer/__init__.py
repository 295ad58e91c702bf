"""The log's one writer: keys, hashes and the batch, sans I/O."""
