"""Which phase a consumer hangs on, which one it should, and what that is worth. Pure."""
