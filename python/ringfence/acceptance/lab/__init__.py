"""A deployment of two sites on this machine, for the functional system test without one."""
