"""Phase balancing of transformers, and hourly and daily balances of groups."""
