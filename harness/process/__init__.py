"""One supervised child process, and the ports it may use. No room above is known here.

Standard library only, and nothing is imported from this file: parts of the room run
before anything else is installed.
"""
