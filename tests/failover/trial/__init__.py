"""docs/operations/availability.md as a new user follows it, on machines of their own: `make trial-availability`.

document     the commands, as they stand on the page
machines     network namespaces with addresses, accounts and folders of their own, on one bridge
deployment   what the page presupposes: two nodes, ENUM servers and probes, calls that go on (caller)
trial        typing a command, waiting for what it promises, the books (books)
__main__     the page, from the first backup to the last failover
"""
