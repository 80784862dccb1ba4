"""History: the journal an acknowledgement rests on, the block store it is merged into, live tags, results and replicas."""
