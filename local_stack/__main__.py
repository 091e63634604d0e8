"""`python -m local_stack`, as the start script runs it."""

from local_stack.command_line import main

if __name__ == "__main__":
    main()
