"""OPC UA server: a supervised process of its own; it forwards the real user of a method call, and the desk decides."""
