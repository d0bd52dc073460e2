"""Networks that turn windows of channels into vectors; they know no finance."""
