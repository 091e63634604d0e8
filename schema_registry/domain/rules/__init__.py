"""The rules of comparison, one function each. `compare` in `comparison` asks them."""
