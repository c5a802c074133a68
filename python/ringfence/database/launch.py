"""Start a program that must not outlive us: become USER, ask the kernel for a signal when our parent dies, exec.

Run as a script of its own (`python -I -S launch.py PARENT UID GID SIGNAL PROGRAM ARGUMENT…`), because the alternative,
a `preexec_fn`, is not safe in a process with threads. The kernel clears the parent-death signal when the user
changes, hence the order; it keeps it across exec.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns: execs, or exits 1 when the parent is gone already."""
    parent, uid, gid, signal_number = (int(argument) for argument in sys.argv[1:5])
    command = sys.argv[5:]
    if os.geteuid() != uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the request
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 — the whole point


if __name__ == "__main__":
    main()
