"""The pages: one page, one blueprint, one file. Each has `make(services, sessions) -> Blueprint`."""
