"""`python -m act_core.cli`: the command `act`, where no script was installed."""

from act_core.cli.main import main

if __name__ == "__main__":
    main()
