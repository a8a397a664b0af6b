"""The controller process: what is done when, and in which order. Every decision is in `policy` or `workflows`."""
