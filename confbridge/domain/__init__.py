"""Rules: values in, values out. No database, no network, no Flask."""
