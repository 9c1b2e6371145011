"""What is seen while something happens: the consumers of the events that a deployment yields."""
