"""Telephone numbering: the dial plan of a site, its own ranges, the numbers it must always reach."""
