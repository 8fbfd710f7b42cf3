"""The event side of a batch run: select dijets, embed, write, resume and account for every event."""
