"""Ingest: uploads of edges → rows, minute counts and the stream's new sequence, in one transaction (facts up).

schema (what must come) → batch (bytes → checked events) → calls (numbers of SIP calls)
→ classes (call type, country) → rows (events → stored columns) → store (the transaction)
"""
