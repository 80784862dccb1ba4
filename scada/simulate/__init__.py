"""A simulated district that speaks the real protocols over real sockets."""
