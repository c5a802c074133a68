"""Certificates and how they are checked: who a listener is, and who an edge is. No HTTP, no database."""
