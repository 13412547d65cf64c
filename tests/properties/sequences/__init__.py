"""Random networks, random sequences of what users do with them, and a stateless model that says what is right."""
