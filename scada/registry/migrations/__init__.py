"""Alembic's environment and the revisions of the registry's schema."""
