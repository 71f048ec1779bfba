"""The command `act`: thin. Only the commands that need Prefect import it."""
