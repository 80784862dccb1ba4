"""What exists: devices, consumers, groups, users and the audit, in a relational database."""
