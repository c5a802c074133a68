"""Labelled traffic: what each kind of attack looks like, call by call. Pure and seeded: no clock, no socket.

kinds (what there is) → models: flooding, fraud, scanning, spoofing, outage, ordinary (how it looks); `demo/` plays it.
"""
