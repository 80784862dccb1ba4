"""A simulated D-Mesh concentrator with its radio modules: the field's side of docs/dmlp.md.

It obeys the protocol also against a server that does not. May import only the codec and the vocabulary.
"""
