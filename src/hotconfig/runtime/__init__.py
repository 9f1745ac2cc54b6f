"""What runs: threads, sockets and time, around the pure line of :mod:`hotconfig.core.line`."""
