"""What happened: counts over time (`views`) and single calls (`calls`), for API, console and CLI alike.

enum_event, call_minute (written by ingest) → buckets → views ┐
                                             → calls          ┴→ API, console, CLI
"""
