"""Applications and their credentials in MongoDB, which stores only digests."""
