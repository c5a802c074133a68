"""What runs beside the data plane on an edge: policy down, events up, heartbeats, metrics.

```text
mediation ──policy──► policy_follower ──► policy_store (disk) ──► data plane (Rust threads)
mediation ◄─events─── uplink ◄──────────── journal ◄────────────────┘
```
Nothing here stands between a query and its answer: the data plane goes on when all of this fails (R4).
"""
