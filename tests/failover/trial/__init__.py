"""docs/operations/availability.md as a new user follows it, on machines of their own: `make trial-availability`.

document   the commands, as they stand on the page
machines   network namespaces with addresses, accounts and folders of their own, on one bridge
caller     on an ENUM server's machine: calls that go on all the time
books      on a node: what its database holds
story      the page, from the first backup to the last failover
"""
