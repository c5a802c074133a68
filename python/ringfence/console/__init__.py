"""The console: pages that lay out what the domain packages say.

browser ─► gate (session cookie → identity) ─► page module ─► session.ask(domain function) ─► PostgreSQL

`pages.mount` puts it on the mediation's application. A page module holds no SQL and no policy of its own:
what it shows it asks of the packages that the API asks too.
"""
