"""Saved views sent by e-mail: what is due, what is sent, and how it went (R13).

schedule (pure) ─► store: claim of a period ─► document, drawing (pure) ─► printing, letter ─► post: SMTP ─► store
"""
