"""Labels, samples, models and their walk-forward training; imports torch only where it is used."""
