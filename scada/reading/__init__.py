"""Reading on demand: tasks that are persisted before they are sent, and survive whatever happens to this process."""
