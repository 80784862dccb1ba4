"""Files of the hand-held collector (J100UC-M): read, held against what the radio delivered, merged (docs/walk-by.md)."""
