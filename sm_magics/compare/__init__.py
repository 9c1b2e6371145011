"""Which model is better: many requests to an endpoint, and no more said of the answers than they show."""
