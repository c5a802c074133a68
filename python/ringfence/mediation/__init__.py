"""The mediation: one process of API, console, distribution and ingest before one database."""
