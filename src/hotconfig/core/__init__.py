"""The pure part of hotconfig: no I/O, no threads, no clock of its own."""
