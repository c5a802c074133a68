"""Failover: the standby becomes the active pair, in steps that are explained, kept and resumable.

procedure (which steps, what is gone on with; pure) ◄── run (one step after the other, each kept in a record)
run ──► steps (what each does) ──► old_pair (fence and stop it), node (stop, start this one), outcome (what it cost)
fencing: the old pair's side of it
"""
