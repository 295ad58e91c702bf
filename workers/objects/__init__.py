"""Where pictures lie: a port, with a folder, an S3-compatible store, and memory behind it."""
