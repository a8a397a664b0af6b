"""`python -m stateward.controllers`."""

from stateward.controllers.main import run

if __name__ == "__main__":
    run()
