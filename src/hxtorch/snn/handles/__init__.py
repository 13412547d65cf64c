"""What a module hands on: handles, and how they look in a notebook."""
