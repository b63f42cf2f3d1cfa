"""Scripts against netstack itself, in virtual time: minutes of the script pass in milliseconds."""
