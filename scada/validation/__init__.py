"""Is what a meter delivered believable? Hours that are good in themselves, against the meter's past and its balance."""
