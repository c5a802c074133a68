"""Detection and containment (R7, E4): patterns over many calls become alerts, and entries of a dynamic list.

```text
events in the database → windows (Rust) → Firing → containment → entries of a dynamic list → edges
                                              └──► alert → channels (console, e-mail, syslog, webhook, SNMP trap)
```
"""
