"""What is done: the engine runs the session machines' commands and tells the window how things stand."""
