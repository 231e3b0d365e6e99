"""Label errors: strays, people merged under one label, a person under two labels."""
