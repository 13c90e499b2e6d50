"""An opened library, what is due in it, and what a person asks of it: status, explain, exports."""
