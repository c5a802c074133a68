"""Numbers as people and standards write them."""
