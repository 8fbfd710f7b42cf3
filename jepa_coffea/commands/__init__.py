"""The subcommands of `jepa-coffea` that need no room of their own."""
