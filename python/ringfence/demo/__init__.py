"""Labelled traffic on a running node, on this machine alone: `detection.attacks` → asked of the ENUM server → outcome.

limits (what may be played, and where) → player (the clock) → enum_line: questions and answers → outcome
                                                            → sip_line: the calls' SIP in HEP, for a probe
"""
