"""An instant experiment: what is left of a sweep's cost when training costs nothing."""
