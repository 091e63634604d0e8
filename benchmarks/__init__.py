"""One module per figure the project claims; `./ates bench NAME` runs one on a running exchange."""
