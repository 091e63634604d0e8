"""Pure rules of identity: accounts, waits after wrong guesses, signing keys, tokens."""
