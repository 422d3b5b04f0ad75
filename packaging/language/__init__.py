"""How the language model is made: talk drawn from templates, mixed with general English."""
