"""What can be asked and done: plain functions, one module a noun."""
