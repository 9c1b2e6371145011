"""Many requests to an endpoint, and what is to be learnt from the answers: the load client, and what is built on it."""
