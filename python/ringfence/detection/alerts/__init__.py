"""Alerts: a firing becomes one alert for its episode, keeps its evidence, and reaches people (R7, E4).

```text
Firing ─► store.open_or_extend ─► alert, timeline ─┬─► console, API (live)
          (the caller's transaction)               └─► outbox ─► delivery (leader) ─► senders/: e-mail, syslog,
          evidence (leader, at once after) ─► alert                                      webhook, SNMP trap
```
Nothing here is waited for by detection but the rows of `open_or_extend`. Whoever fires calls that, from
`ringfence.detection.alerts.store`.
"""
