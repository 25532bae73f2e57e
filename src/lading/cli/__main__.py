"""`python -m lading.cli`: the command where no script is installed."""

from lading.cli import main

if __name__ == "__main__":
    main()
