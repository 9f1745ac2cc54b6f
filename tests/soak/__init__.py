"""The soak: a million changes through one reading process, whose memory, threads and descriptors are watched."""
