"""`python -m thumbwheel.cli` is `thumbwheel`."""

from thumbwheel.cli.main import main

if __name__ == "__main__":
    main()
