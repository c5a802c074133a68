"""One machine's processes: `ringfence up` starts them, restarts what dies, stops them in order.

`supervisor` keeps services running, `child` is a service that is a process, `state` says from outside what runs.
Nothing here knows what the services do (docs/decisions/0004-node-supervisor.md).
"""
