"""Stateward's day-2 half: the controller, its decisions and the command line."""
