"""The real servers: one launcher each, on a loopback port, in a process group of their own."""
