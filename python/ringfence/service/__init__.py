"""A node's processes as services of the operating system: `ringfence service`.

    units (the one source) ──► deploy/systemd/ and the Debian package
                           └─► installation: unit files, accounts, configuration below a root ──► manager: systemctl

`notify` is the other direction: what a running process tells systemd. Docs: docs/operations/service.md.
"""
