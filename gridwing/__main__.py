"""`python -m gridwing`."""

from gridwing.cli import main

if __name__ == "__main__":
    main(prog_name="gridwing")
