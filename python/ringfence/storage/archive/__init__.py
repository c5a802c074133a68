"""Closed days as Parquet: written, verified, then let answer for the rows that the database drops.

place (folder or S3) ← file (rows → one Parquet file, read back) ← parts (what is archived, in the database) ← day
"""
