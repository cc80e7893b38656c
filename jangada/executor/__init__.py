"""The process that claims jobs and runs them in a child process."""
