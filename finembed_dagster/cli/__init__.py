"""The `finembed` command line."""
