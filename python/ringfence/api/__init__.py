"""The HTTP API under /api/v1.

Who may ask what: `security`. How refusals read: `errors`. One file per resource: `routes`.
"""
