"""PostgreSQL: the embedded server, connections to it or to an external one, schema and partitions.

Order of use: `embedded` runs the server (or a URL names one) → `connection` opens a pool → `migrate` brings the
schema up → `partitions` makes room for events. Nothing here knows what the tables mean.
"""
