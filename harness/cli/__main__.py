"""``python -m harness.cli``, for where the command is not on the path."""

from harness.cli.main import main

main()
